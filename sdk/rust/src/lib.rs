//! What the author of a scaling policy or a machine driver for Millwright calls in Rust. It has no dependencies, and an author writes no
//! `unsafe`.
//!
//! ```
//! use millwright::{Description, Error, Policy, Proposal, Snapshot};
//!
//! struct Twice;
//!
//! impl Policy for Twice {
//!     fn describe(&self) -> Description {
//!         Description { name: "twice".into(), summary: "two machines per job".into(), ..Default::default() }
//!     }
//!     fn decide(&self, s: &Snapshot) -> Result<Proposal, Error> {
//!         let target = 2 * s.demand.running;
//!         Ok(Proposal { idle_target: Some(target), reason: format!("{} jobs run", s.demand.running), ..Default::default() })
//!     }
//! }
//!
//! millwright::policy!(Twice);
//! # fn main() {}
//! ```
//!
//! The crate of a module is a `cdylib`. The module is built with `build.sh`, or where the target is installed with
//! `cargo build --release --target wasm32-unknown-unknown`. On any other target the exports are not made, so that the same crate is tested
//! natively by `cargo test`; see [`testing`].
//!
//! hostfuncs/ABI.md describes the payloads.

mod base64;
mod describe;
mod driver;
mod group;
pub mod host;
pub mod json;
mod policy;
mod proposal;
mod snapshot;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;
mod words;

#[cfg(target_arch = "wasm32")]
#[doc(hidden)]
pub mod guest;

pub use base64::Bytes;
pub use describe::{Description, DriverOption, HistoryWish, Problem, ValidateRequest, ValidateResult};
pub use driver::{
    Bootstrap, CheckRequest, CheckResult, CreateRequest, Driver, DriverError, Instance, ListRequest, ListResult, Outcome, Owner,
    LogsRequest, Permission, RemoveRequest, SwitchRequest,
};
pub use group::{
    ConnectInfo, ConnectRequest, DecreaseRequest, DecreaseResult, GroupInfo, GroupRequest, IncreaseRequest, IncreaseResult,
};
pub use json::Value;
pub use policy::Policy;
pub use proposal::{Options, Proposal, Removal, Settings};
pub use snapshot::{
    Counts, Demand, Failure, History, InstancePolicy, InstanceSettings, MachineView, ObserveRequest, PeriodsSettings, RunnerSettings, Slots, Snapshot, Window,
    Zone,
};
pub use words::{ErrorKind, Level, OptionType, PermissionResult, State, Status};

/// The version of the ABI that this crate speaks.
pub const ABI: i64 = 1;

/// Why a call failed; a `&str`, a `String` and every error of the standard library become one by `?` or `into()`.
pub type Error = Box<dyn std::error::Error>;

/// Something whose exports can be called: a [`Policy`] or a [`Driver`] behind its macro, or in a test.
pub trait Module {
    /// Runs one export, such as `decide`, on the bytes of its input and returns the bytes of its output. This is what the exports of the
    /// module do; tests use it to run the module natively. An error is what the host sees as the failure of the call.
    fn call(&self, export: &str, input: &[u8]) -> Result<Vec<u8>, Error>;
}
