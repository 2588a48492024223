//! The API of a base, as a client without any knowledge of its insides calls it.

use std::{path::Path, time::Duration};

use ark_model::api::{ErrorBody, Installed, ModuleList, ModuleView, Prepared, Retired};
use serde_json::{Value, json};
use ureq::http::Response;

use crate::Error;

/// A client of one base.
#[derive(Debug, Clone)]
pub struct Api {
    agent: ureq::Agent,
    url: String,
}

impl Api {
    /// A client of the base at `url`.
    #[must_use]
    pub fn new(url: &str) -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_connect(Some(Duration::from_secs(5)))
            .timeout_global(Some(Duration::from_secs(300)))
            .build();
        Self { agent: config.into(), url: url.to_owned() }
    }

    /// Where the base is.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The status of a `GET`.
    ///
    /// # Errors
    /// Where there is no answer.
    pub fn get_status(&self, path: &str) -> Result<u16, Error> {
        Ok(self.agent.get(format!("{}{path}", self.url)).call()?.status().as_u16())
    }

    /// Status and body of a `GET`.
    ///
    /// # Errors
    /// Where there is no answer.
    pub fn get(&self, path: &str) -> Result<(u16, String), Error> {
        text(self.agent.get(format!("{}{path}", self.url)).call()?)
    }

    /// Status and body of a `DELETE`.
    ///
    /// # Errors
    /// Where there is no answer.
    pub fn delete(&self, path: &str) -> Result<(u16, String), Error> {
        text(self.agent.delete(format!("{}{path}", self.url)).call()?)
    }

    /// Status and body of a `POST`.
    ///
    /// # Errors
    /// Where there is no answer.
    pub fn post(&self, path: &str, body: &str) -> Result<(u16, String), Error> {
        text(self.agent.post(format!("{}{path}", self.url)).content_type("application/json").send(body)?)
    }

    /// The envelope that a command of the wire answers with.
    ///
    /// # Errors
    /// Where there is no answer, or none with a body in JSON.
    pub fn command(&self, name: &str, parameters: &Value) -> Result<Value, Error> {
        Ok(serde_json::from_str(&self.post(&format!("/{name}"), &parameters.to_string())?.1)?)
    }

    /// Installs by an order as `/v1/modules` takes it.
    ///
    /// # Errors
    /// Where there is no answer; a refusal is the inner one.
    pub fn install(&self, order: &Value) -> Result<Result<Installed, ErrorBody>, Error> {
        outcome(&self.post("/v1/modules", &order.to_string())?)
    }

    /// Prepares what an order is about, for when it comes.
    ///
    /// # Errors
    /// Where there is no answer; a refusal is the inner one.
    pub fn prepare(&self, order: &Value) -> Result<Result<Prepared, ErrorBody>, Error> {
        outcome(&self.post("/v1/prepare", &order.to_string())?)
    }

    /// Installs the package in the file `package`, under the name and version it gives itself.
    ///
    /// # Errors
    /// Where it is not installed.
    pub fn install_file(&self, package: &Path) -> Result<Installed, Error> {
        let installed = self.install(&json!({"url": format!("file://{}", package.display())}))?;
        installed.map_err(|refused| format!("{}: {}", refused.error.reason, refused.error.message).into())
    }

    /// Removes a module.
    ///
    /// # Errors
    /// Where there is no answer; a refusal is the inner one.
    pub fn uninstall(&self, name: &str, version: &str) -> Result<Result<Retired, ErrorBody>, Error> {
        outcome(&self.delete(&format!("/v1/modules/{name}/{version}"))?)
    }

    /// All modules.
    ///
    /// # Errors
    /// Where there is no answer.
    pub fn modules(&self) -> Result<Vec<ModuleView>, Error> {
        Ok(serde_json::from_str::<ModuleList>(&self.get("/v1/modules")?.1)?.modules)
    }
}

fn text(mut response: Response<ureq::Body>) -> Result<(u16, String), Error> {
    Ok((response.status().as_u16(), response.body_mut().read_to_string()?))
}

fn outcome<T: serde::de::DeserializeOwned>((status, body): &(u16, String)) -> Result<Result<T, ErrorBody>, Error> {
    Ok(if *status < 400 { Ok(serde_json::from_str(body)?) } else { Err(serde_json::from_str(body)?) })
}
