//! Signatures of packages, as minisign makes them.

use ark::Package;
use ark_model::{Failure, Reason};
use minisign_verify::{PublicKey, Signature};

/// The keys of which one has to have signed each package. Without any, packages need no signature.
#[derive(Clone, Default)]
pub struct Keys(Vec<PublicKey>);

impl Keys {
    /// Reads public keys as minisign prints them, in base64.
    ///
    /// # Errors
    /// The first that is no key.
    pub fn new(keys: &[String]) -> Result<Self, Failure> {
        let read = |key: &String| {
            PublicKey::from_base64(key.trim())
                .map_err(|error| Failure::new(Reason::InvalidRequest, format!("{key:?} is no minisign public key: {error}")))
        };
        keys.iter().map(read).collect::<Result<_, _>>().map(Self)
    }

    pub(crate) async fn verify(&self, signature: Option<&str>, package: &Package) -> Result<(), Failure> {
        let refused = |problem: &str| {
            let message = format!("the package sha256:{} is not accepted: {problem}", package.sha256);
            Err(Failure::new(Reason::SignatureInvalid, message))
        };
        let text = match (self.0.is_empty(), signature) {
            (true, None) => return Ok(()),
            (true, Some(_)) => {
                return refused("it comes with a signature, and this base has no key to hold it against; give it one with --require-key");
            }
            (false, None) => return refused("this base requires a signature; sign it with `minisign -S`, and send that along"),
            (false, Some(text)) => text.to_owned(),
        };
        let signature = match Signature::decode(&text) {
            Ok(signature) => signature,
            Err(error) => return refused(&format!("its signature cannot be read: {error}")),
        };
        let (keys, path) = (self.0.clone(), package.path.clone());
        let verified = tokio::task::spawn_blocking(move || {
            std::fs::read(&path).map(|bytes| keys.iter().any(|key| key.verify(&bytes, &signature, false).is_ok()))
        });
        match verified.await {
            Ok(Ok(true)) => Ok(()),
            Ok(Ok(false)) => refused("its signature is not one of the keys that this base requires"),
            Ok(Err(error)) => Err(Failure::new(Reason::Internal, format!("could not read {}: {error}", package.path.display()))),
            Err(error) => Err(Failure::new(Reason::Internal, format!("verifying broke off: {error}"))),
        }
    }
}
