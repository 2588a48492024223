//! What every command is given: how to speak, and which base to ask.

use crate::{
    cli::Global,
    client::Client,
    config::{self, Base, Config},
    discover,
    error::Error,
    fleet::{Fleet, Where},
    output::Output,
};

/// What a command is given.
pub(crate) struct Context {
    /// How to speak.
    pub(crate) output: Output,
    base: Option<String>,
    token: Option<String>,
}

impl Context {
    /// Takes the global options.
    pub(crate) fn new(global: Global) -> Self {
        Self { output: Output::new(&global), base: global.base, token: global.token }
    }

    /// A client of the chosen base. Says which one where only a scan knew.
    ///
    /// # Errors
    /// A configuration that cannot be used, no base, or several.
    pub(crate) fn client(&self) -> Result<Client, Error> {
        let config = Config::load()?;
        let base = match config::choose(self.base.as_deref(), self.token.as_deref(), &config)? {
            Some(base) => base,
            None => {
                let found = discover::one(discover::scan(discover::PORTS))?;
                self.output.note(&format!("using {found}, found on this machine"));
                Base { url: found.url, token: self.token.clone().filter(|token| !token.is_empty()) }
            }
        };
        self.output.detail(&format!("base {}", base.url));
        Client::new(&base)
    }

    /// A client of the controller that `asked` says. A token is shown to it where it is named by its URL.
    ///
    /// # Errors
    /// A configuration that cannot be used.
    pub(crate) fn fleet(&self, asked: &Where) -> Result<Fleet, Error> {
        Fleet::new(asked, self.token.as_deref(), self.output)
    }
}
