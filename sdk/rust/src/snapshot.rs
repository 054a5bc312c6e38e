//! What a policy is given: the input of `decide` and of `observe`.

use crate::json::Value;
use crate::words::{ErrorKind, State};
use crate::Proposal;

crate::shape! {
    /// The input of decide: the only thing that a policy knows of the world.
    Snapshot {
        abi: i64,
        /// RFC 3339 with nanoseconds, UTC.
        now: String,
        /// The same instant, milliseconds since 1970.
        now_unix_ms: i64,
        /// Every time zone that the runner's configuration names.
        zones[omitzero]: Vec<Zone>,
        runner: RunnerSettings,
        fleet: Counts,
        /// The places for jobs on its machines; only with `runner.instances`.
        slots: Option<Slots>,
        demand: Demand,
        /// Creations that failed in the last hour, by kind.
        failures[omitzero]: Vec<Failure>,
        /// Only when describe asked for them.
        machines[omitzero]: Vec<MachineView>,
        /// Only when describe asked for it.
        history: Option<History>,
        /// The module's own configuration.
        config: Value,
        /// What the module's last proposal gave; empty at first, and whenever the host has lost it.
        state[omitzero]: String,
        /// What observe returned last.
        observed: Value,
        /// Seconds since then.
        observed_age_s[omitzero]: f64,
        /// What the modules before this one proposed, merged.
        proposal: Proposal,
    }
}

crate::shape! {
    /// A time zone at the snapshot's instant. The wall clock there is `now_unix_ms / 1000 + offset_s`, read as if it were UTC.
    Zone {
        /// IANA name as the configuration writes it; `Local` for the host's own.
        name: String,
        /// The instant there, RFC 3339.
        local: String,
        /// Seconds east of UTC now.
        offset_s: i64,
        /// When the offset changes next, RFC 3339 in UTC; empty when never.
        next_change: String,
        /// Seconds east of UTC from then on.
        next_offset_s: i64,
    }
}

crate::shape! {
    /// The runner's settings from config.toml, with GitLab's meaning.
    RunnerSettings {
        name: String,
        short_token[omitzero]: String,
        /// Machines and jobs at most; 0 = no limit.
        limit: i64,
        /// Jobs at most over all runners.
        concurrent: i64,
        idle_count: i64,
        idle_count_min: i64,
        /// 0 = off.
        idle_scale_factor: f64,
        /// Seconds.
        idle_time_s: i64,
        /// 0 = no limit.
        max_growth_rate: i64,
        /// 0 = no limit.
        max_builds: i64,
        autoscaling[omitzero]: Vec<PeriodsSettings>,
        /// What a runner with `[runners.autoscaler]` has instead of all that begins with `idle_count`.
        instances: Option<InstanceSettings>,
    }
}

crate::shape! {
    /// One `[[runners.machine.autoscaling]]` section.
    PeriodsSettings {
        periods: Vec<String>,
        /// Empty and `Local` are the host's zone.
        timezone: String,
        idle_count: i64,
        idle_count_min: i64,
        idle_scale_factor: f64,
        idle_time_s: i64,
    }
}

crate::shape! {
    /// The settings of `[runners.autoscaler]`. A machine has slots, each of which takes a job.
    InstanceSettings {
        /// Slots per machine.
        capacity_per_instance: i64,
        /// Jobs per machine; 0 = no limit.
        max_use_count: i64,
        /// Machines in any state at most; 0 = no limit.
        max_instances: i64,
        policy[omitzero]: Vec<InstancePolicy>,
    }
}

crate::shape! {
    /// One `[[runners.autoscaler.policy]]` section, with what it leaves out filled in.
    InstancePolicy {
        /// Unix cron's five fields each.
        periods: Vec<String>,
        /// Empty and `Local` are the host's zone.
        timezone: String,
        /// Free slots to hold.
        idle_count: i64,
        idle_time_s: i64,
        /// Free slots per slot in use; 0 = off.
        scale_factor: f64,
        /// 0 = no limit.
        scale_factor_limit: i64,
        /// Ask for a job only when a slot is free for it.
        preemptive_mode: bool,
    }
}

crate::shape! {
    /// The places for jobs on machines of `[runners.autoscaler]`, those of machines that are being removed left out.
    Slots {
        creating: i64,
        free: i64,
        /// Held for a job that is still to come.
        reserved: i64,
        used: i64,
        /// That no job gets any more.
        unavailable: i64,
    }
}

crate::shape! {
    /// Machines by state.
    Counts {
        creating: i64,
        idle: i64,
        acquired: i64,
        used: i64,
        removing: i64,
        stuck_on_removing: i64,
        /// Creating, idle and acquired together.
        available: i64,
        total: i64,
    }
}

crate::shape! {
    /// What jobs ask of the fleet.
    Demand {
        /// Jobs on machines.
        running: i64,
        /// Jobs that hold no machine yet.
        waiting: i64,
        windows[omitzero]: Vec<Window>,
    }
}

crate::shape! {
    /// The jobs of the last `seconds` seconds.
    Window {
        seconds: i64,
        arrivals: i64,
        finished: i64,
        /// Of those finished; 0 when none.
        mean_duration_s: f64,
    }
}

crate::shape! {
    /// Creations that failed with one kind of error.
    Failure {
        kind: ErrorKind,
        count: i64,
        /// Seconds since the last.
        age_s: f64,
    }
}

crate::shape! {
    /// One machine as a policy sees it.
    MachineView {
        name: String,
        state: State,
        age_s: f64,
        /// Seconds idle, 0 when it is not.
        idle_s[omitzero]: f64,
        used_count: i64,
    }
}

crate::shape! {
    /// A runner's past, oldest step first. All lists have the same length. The step that is under way is not in it.
    History {
        /// When the first step began, milliseconds since 1970; a multiple of the step.
        from_unix_ms: i64,
        step_s: i64,
        /// Of the step that the agent saw; with 0 nothing is known of it, and all else is 0.
        minutes: Vec<i64>,
        /// Jobs that came.
        arrivals: Vec<i64>,
        /// Jobs that ended.
        finished: Vec<i64>,
        /// Jobs on machines, mean.
        running: Vec<f64>,
        /// The most at once.
        running_max: Vec<i64>,
        /// Jobs without a machine, the most at once.
        waiting_max: Vec<i64>,
        /// Machines creating, idle or acquired, mean.
        available: Vec<f64>,
        /// Machines in any state, mean.
        total: Vec<f64>,
    }
}

crate::shape! {
    /// The input of observe.
    ObserveRequest {
        abi: i64,
        /// RFC 3339 with nanoseconds, UTC.
        now: String,
        /// The same instant, milliseconds since 1970.
        now_unix_ms: i64,
        config: Value,
        /// What observe returned last: a Retry-After to mind, an ETag. Lost when the agent starts.
        observed: Value,
    }
}
