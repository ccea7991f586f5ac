//! The default files, an operator's folder over them, and what caches are told.

use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};

use super::*;

fn with_folder(files: &[(&str, &str)]) -> (tempfile::TempDir, Result<Arc<SiteFiles>, FolderError>) {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
    let files = SiteFiles::new(Some(folder.path()));
    (folder, files)
}

#[test]
fn a_file_is_kept_for_ever_only_under_its_hash() {
    let files = SiteFiles::new(None).unwrap().current.load_full();
    let address = files.address("style.css");
    let version = address.strip_prefix("/static/style.css?v=").unwrap();
    let style = files.get("static/style.css").unwrap();
    let caching = |version| style.answer(&HeaderMap::new(), version).headers()[CACHE_CONTROL].clone();
    assert_eq!(caching(Some(version)), FOR_EVER);
    for other in [None, Some(""), Some("0011223344556677")] {
        assert_eq!(caching(other), ASK_AGAIN, "{other:?}");
    }
}

#[test]
fn who_has_it_is_not_sent_it_again() {
    let files = SiteFiles::new(None).unwrap().current.load_full();
    let style = files.get("static/style.css").unwrap();
    let first = style.answer(&HeaderMap::new(), None);
    assert_eq!(first.status(), StatusCode::OK);
    assert_eq!(first.headers()[CONTENT_TYPE], "text/css; charset=utf-8");
    let tag = first.headers()[ETAG].to_str().unwrap().to_owned();
    for (known, status) in [
        (tag.clone(), StatusCode::NOT_MODIFIED),
        (format!("\"other\", {}", tag.trim_start_matches("W/")), StatusCode::NOT_MODIFIED),
        ("\"other\"".to_owned(), StatusCode::OK),
    ] {
        let mut headers = HeaderMap::new();
        headers.insert(IF_NONE_MATCH, HeaderValue::try_from(&known).unwrap());
        assert_eq!(style.answer(&headers, None).status(), status, "{known}");
    }
}

#[test]
fn who_takes_gzip_gets_less_and_nobody_else_does() {
    let style = SiteFile::new("style.css", "body { color: red } ".repeat(100));
    for (accepted, is_compressed) in
        [("br, gzip", true), ("GZIP;q=0.5", true), ("gzip;q=0", false), ("br", false), ("", false)]
    {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(accepted));
        let answer = style.answer(&headers, None);
        assert_eq!(answer.headers().contains_key(CONTENT_ENCODING), is_compressed, "{accepted}");
        assert_eq!(answer.headers()[VARY], "accept-encoding");
    }
    assert!(SiteFile::new("dot.png", vec![7]).compressed.is_none(), "a dot does not get less");
}

#[test]
fn a_folder_replaces_and_adds_and_leaves_the_rest() {
    let (_folder, files) = with_folder(&[
        ("static/style.css", "body {}"),
        ("pages/about.html", "<p>us</p>"),
        (".git/config", "secret"),
        ("texts/en.toml", "[frame]\nhome = \"Start\""),
    ]);
    let files = files.unwrap().current.load_full();
    assert_eq!(files.get("static/style.css").unwrap().content(), b"body {}");
    assert_eq!(files.get("pages/about.html").unwrap().content(), b"<p>us</p>");
    assert!(files.get("static/live.js").is_some());
    assert!(files.get(".git/config").is_none());
    assert_eq!(files.texts().get("frame.home"), "Start");
    assert_eq!(files.texts().get("frame.blocks"), Texts::default().get("frame.blocks"));
}

#[test]
fn what_leads_out_of_the_folder_is_not_in_it() {
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("key"), "secret").unwrap();
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(outside.path().join("key"), folder.path().join("key")).unwrap();
    std::os::unix::fs::symlink(outside.path(), folder.path().join("static")).unwrap();
    std::fs::write(folder.path().join("static.txt"), "own").unwrap();
    let files = SiteFiles::new(Some(folder.path())).unwrap().current.load_full();
    assert!(files.get("static.txt").is_some());
    for name in ["key", "static/key", "../key", "static/../static.txt", "/etc/passwd"] {
        assert!(files.get(name).is_none(), "{name}");
    }
}

#[test]
fn a_change_is_seen_and_a_broken_one_is_not_taken() {
    let (folder, files) = with_folder(&[("static/note.txt", "one")]);
    let files = files.unwrap();
    let note = || files.current.load().get("static/note.txt").unwrap().content().to_vec();
    std::fs::write(folder.path().join("static/note.txt"), "three").unwrap();
    files.look_again();
    assert_eq!(note(), b"three");
    std::fs::create_dir(folder.path().join("texts")).unwrap();
    std::fs::write(folder.path().join("texts/en.toml"), "no toml").unwrap();
    std::fs::write(folder.path().join("static/note.txt"), "four!!").unwrap();
    files.look_again();
    assert_eq!(note(), b"three", "a set of files is taken as a whole");
    std::fs::write(folder.path().join("texts/en.toml"), "").unwrap();
    files.look_again();
    assert_eq!(note(), b"four!!");
}

#[test]
fn a_folder_that_is_not_there_or_has_wrong_texts_is_an_error_that_says_so() {
    let error = SiteFiles::new(Some(Path::new("/nowhere"))).unwrap_err().to_string();
    assert!(error.starts_with("/nowhere: "), "{error}");
    let (_folder, files) = with_folder(&[("texts/en.toml", "[frame]\nhomme = \"Start\"")]);
    let error = files.unwrap_err().to_string();
    assert!(error.contains("frame.homme") && error.contains("frame.home"), "{error}");
}

#[test]
fn an_export_is_the_whole_site_and_overwrites_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let written = export(folder.path()).unwrap();
    assert_eq!(written, defaults().count());
    SiteFiles::new(Some(folder.path())).unwrap();
    let error = export(folder.path()).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
}
