//! What a driver of groups and the host say to each other. See hostfuncs/ABI.md, "Groups".

use crate::{DriverError, Options, Owner, Problem};

crate::shape! {
    /// The input of group_info.
    GroupRequest {
        abi: i64,
        owner: Owner,
        /// Which group.
        options: Options,
        /// The runner's own bound; 0 sets none.
        max_instances[omitzero]: i64,
    }
}

crate::shape! {
    /// The output of group_info.
    GroupInfo {
        /// Unique among the groups of the world.
        id: String,
        /// Instances that the group may have at most; 0 sets no bound.
        max_size[omitzero]: i64,
        /// Of what serves it, for people.
        version[omitzero]: String,
        /// What must be otherwise with the group; one that is no warning keeps it from being used.
        problems: Vec<Problem>,
    }
}

crate::shape! {
    /// The input of increase.
    IncreaseRequest {
        abi: i64,
        owner: Owner,
        options: Options,
        /// By how many instances.
        count: i64,
    }
}

crate::shape! {
    /// The output of increase.
    IncreaseResult {
        /// How many were granted.
        count: i64,
    }
}

crate::shape! {
    /// The input of decrease.
    DecreaseRequest {
        abi: i64,
        owner: Owner,
        options: Options,
        /// The names of those to remove, as list gives them.
        instances: Vec<String>,
    }
}

crate::shape! {
    /// The output of decrease.
    DecreaseResult {
        /// Those whose removal was taken on, or that are gone.
        instances: Vec<String>,
        /// Why the others stay.
        error: Option<DriverError>,
    }
}

crate::shape! {
    /// The input of connect_info, and of heartbeat.
    ConnectRequest {
        abi: i64,
        owner: Owner,
        options: Options,
        /// Its name, as list gives it.
        instance: String,
        /// What connector_config says, as the next three.
        os[omitzero]: String,
        arch[omitzero]: String,
        protocol[omitzero]: String,
        username[omitzero]: String,
        /// The public half of a key that the host holds, to be let in; empty: none is wanted.
        authorized_key[omitzero]: String,
    }
}

crate::shape! {
    /// The output of connect_info.
    ConnectInfo {
        os[omitzero]: String,
        arch[omitzero]: String,
        /// ssh, winrm or winrm+https; empty is ssh.
        protocol[omitzero]: String,
        /// 0 is the protocol's own.
        port[omitzero]: i64,
        username[omitzero]: String,
        internal_addr[omitzero]: String,
        external_addr[omitzero]: String,
        /// The instance lets in the key of the request.
        key_authorized[omitzero]: bool,
        password[omitzero]: String,
        /// Encrypted by RSA (PKCS #1 v1.5) for the key of key_path, as base64.
        encrypted_password[omitzero]: String,
        /// How long the key or the password is good for; 0: it does not end.
        ttl_s[omitzero]: i64,
    }
}
