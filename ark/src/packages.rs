//! What the container asks of whoever keeps packages.

use ark_model::{Failure, InstallOrder};
use futures_util::future::BoxFuture;

use crate::runtime::Package;

/// Brings packages to the base.
pub trait Packages: Send + Sync + 'static {
    /// Brings the package that `order` names into the store, and takes it from there where the order gives its digest.
    /// Dropping the future gives the transfer up.
    fn fetch<'a>(&'a self, order: &'a InstallOrder) -> BoxFuture<'a, Result<Package, Failure>>;

    /// Holds the package against the order's digest and signature, and against the keys the base requires.
    fn verify<'a>(&'a self, order: &'a InstallOrder, package: &'a Package) -> BoxFuture<'a, Result<(), Failure>>;
}
