# Makes the folder $1 a running machine, with systemd as its first process. To be started by `unshare` in name spaces of its
# own for processes, mounts, network, host name and IPC; the control group $2 becomes the root of its groups.
set -e
mount --make-rprivate /
mount --bind "$1" "$1"
cd "$1"
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mkdir -p "sys/fs/cgroup$2"
echo 0 > "sys/fs/cgroup$2/cgroup.procs"
umount sys/fs/cgroup
exec unshare --cgroup sh -e -c '
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs dev
mkdir dev/pts dev/shm
touch dev/console
for device in null zero full random urandom tty; do
    touch dev/$device
    mount --bind /dev/$device dev/$device
done
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts dev/pts
mount -t tmpfs -o mode=1777 tmpfs dev/shm
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs -o mode=1777 tmpfs tmp
pivot_root . mnt
cd /
umount -l /mnt
export container=headframe
exec /lib/systemd/systemd --system --unit=basic.target
'
