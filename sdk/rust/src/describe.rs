//! What a module says of itself, and of the configuration and options that it is given.

use crate::json::Value;
use crate::words::OptionType;
use crate::Options;

crate::shape! {
    /// What a module returns from describe. `abi` and `kind` are filled in by this crate.
    Description {
        abi: i64,
        kind: String,
        /// Lower case letters, digits and hyphens, 1 to 63.
        name: String,
        version[omitzero]: String,
        /// One line for people.
        summary[omitzero]: String,
        /// What it wants to talk to: `api.example.com`, `https://*.example.com:8443`, `unix:///var/run/docker.sock`.
        hostnames[omitzero]: Vec<String>,
        /// Of policies: place in the chain; 0 means after the built-in ones (100).
        position[omitzero]: i64,
        /// Of policies: list the machines in the snapshot.
        want_machines[omitzero]: bool,
        /// Of policies: give the past in the snapshot.
        want_history: Option<HistoryWish>,
        /// Of policies: what `[config]` of NAME.toml may hold, as a JSON Schema of the keywords that ABI.md names; the host checks it.
        config_schema[omitzero]: Value,
        /// Of drivers: it has the verbs of groups in the place of create and remove.
        group[omitzero]: bool,
        /// Of drivers.
        options[omitzero]: Vec<DriverOption>,
    }
}

crate::shape! {
    /// How much of the past a policy wants: the last `points` (1 to 1000) steps of `step_s` seconds each, a multiple of 60; together a
    /// week at most.
    HistoryWish {
        points: i64,
        step_s: i64,
    }
}

crate::shape! {
    /// One driver option, as MachineOptions and the command line name it.
    DriverOption {
        /// With the driver's prefix: `docker-image`.
        name: String,
        r#type: OptionType,
        /// The environment variable that gives its default.
        env[omitzero]: String,
        /// In the form that a user would write; a list's items separated by commas.
        default[omitzero]: String,
        required[omitzero]: bool,
        /// It reaches the guest as a reference, never as its value.
        secret[omitzero]: bool,
        /// What it means to the host: `zone`, `type`, `spot` or `account`; empty is nothing in particular.
        role[omitzero]: String,
        help: String,
    }
}

crate::shape! {
    /// The input of validate: a policy's configuration, or a driver's options with defaults filled in.
    ValidateRequest {
        abi: i64,
        options: Options,
        config: Value,
    }
}

crate::shape! {
    /// The output of validate; no problem means that all is well.
    ValidateResult {
        problems: Vec<Problem>,
    }
}

crate::shape! {
    /// One thing that is wrong with an option or a setting.
    Problem {
        option: String,
        /// What was found and what is allowed.
        message: String,
        /// It may stay.
        warning[omitzero]: bool,
    }
}

impl Problem {
    pub fn new(option: &str, message: &str) -> Self {
        Problem { option: option.to_string(), message: message.to_string(), warning: false }
    }
}
