//! What a policy returns from `decide`.

use std::collections::BTreeMap;

/// Driver options by name, each as the list of the values that were given (one, but for lists).
pub type Options = BTreeMap<String, Vec<String>>;

crate::shape! {
    /// The output of decide. Every field is optional: an absent one inherits from the module before. Start from
    /// `Proposal::default()` and set what you decide.
    Proposal {
        settings: Option<Settings>,
        /// Machines to hold available (creating, idle and acquired), 0 or more.
        idle_target: Option<i64>,
        /// With `runner.instances`: free slots to hold, which count instead of `idle_target`.
        idle_slots: Option<i64>,
        /// With `runner.instances`: ask for a job only when a slot is free for it.
        preemptive: Option<bool>,
        /// Machines being created at once; may only tighten MaxGrowthRate.
        growth_limit: Option<i64>,
        /// Nothing is created, for waiting jobs either; a later module can't take it back.
        no_growth[omitzero]: bool,
        /// Jobs per machine; may only tighten MaxBuilds.
        max_builds: Option<i64>,
        /// Idle machines to remove now.
        remove[omitzero]: Vec<Removal>,
        /// Option overrides for the next machine, from an allowed list.
        next_machine[omitzero]: Options,
        /// Seconds until the next call at the latest.
        ask_again_s: Option<f64>,
        /// For people.
        metrics[omitzero]: BTreeMap<String, f64>,
        /// Kept for the module's next call, at most 64 KB; `None` leaves what there is.
        state: Option<String>,
        /// Why, in words, one line.
        reason[omitzero]: String,
    }
}

crate::shape! {
    /// The four values that periods choose among.
    Settings {
        idle_count: Option<i64>,
        idle_count_min: Option<i64>,
        idle_scale_factor: Option<f64>,
        /// Seconds.
        idle_time_s: Option<i64>,
    }
}

crate::shape! {
    /// Names an idle machine to remove, and why.
    Removal {
        name: String,
        reason: String,
    }
}
