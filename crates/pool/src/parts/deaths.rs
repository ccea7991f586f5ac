//! Real deaths for tests: a part of a role panics when it is told to.

use tokio_util::sync::CancellationToken;

use super::Parts;

impl Parts {
    pub(super) fn mortal(
        &mut self,
        name: &'static str,
        task: impl Future<Output = ()> + Send + 'static,
    ) -> impl Future<Output = ()> + Send + 'static {
        let death = CancellationToken::new();
        self.deaths.push((name, death.clone()));
        async move {
            tokio::select! { () = death.cancelled() => panic!("a test has killed {name}"), () = task => {} }
        }
    }

    /// The names of all tasks.
    pub(crate) fn names(&self) -> Vec<&'static str> {
        self.deaths.iter().map(|(name, _)| *name).collect()
    }

    /// A task panics.
    pub(crate) fn kill(&self, name: &str) {
        self.deaths.iter().find(|(known, _)| *known == name).unwrap().1.cancel();
    }
}
