//! Fields that hold one word of several. A word that this crate does not know is kept as `Other`.

macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$about:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq)]
        pub enum $name {
            $($(#[$about])* $variant,)*
            /// A word that a newer host or driver may use; empty when none was given.
            Other(std::string::String),
        }

        impl $name {
            /// The word in JSON.
            pub fn as_str(&self) -> &str {
                match self {
                    $($name::$variant => $word,)*
                    $name::Other(word) => word,
                }
            }
        }

        impl From<&str> for $name {
            fn from(word: &str) -> Self {
                match word {
                    $($word => $name::$variant,)*
                    word => $name::Other(word.to_string()),
                }
            }
        }

        impl Default for $name {
            fn default() -> Self {
                $name::Other(std::string::String::new())
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl crate::json::Decode for $name {
            fn read(r: &mut crate::json::Reader) -> Result<Self, crate::json::Fault> {
                r.text("a string", |word| $name::from(&*word))
            }
        }

        impl crate::json::Encode for $name {
            fn encode(&self, w: &mut crate::json::Writer) {
                w.string(self.as_str());
            }
            fn is_zero(&self) -> bool {
                self.as_str().is_empty()
            }
        }
    };
}

words! {
    /// What the host does about a failed call follows from its kind; the host alone retries.
    ErrorKind {
        /// The thing does not exist (for remove: done).
        NotFound = "not_found",
        /// It exists already, or is being changed by somebody else.
        Conflict = "conflict",
        /// The account's limit is reached.
        Quota = "quota",
        /// The provider has none left of what was asked for.
        Capacity = "capacity",
        /// Credentials are missing, wrong or lack a right.
        Auth = "auth",
        /// Too many calls; see `retry_after_s`.
        RateLimited = "rate_limited",
        /// The request can never work as it stands.
        Invalid = "invalid",
        /// Worth another try.
        Transient = "transient",
    }
}

words! {
    /// The state of an instance as its provider reports it. Unknown is not gone.
    Status {
        Creating = "creating",
        Running = "running",
        Stopped = "stopped",
        Gone = "gone",
        /// The provider takes it back soon.
        Interrupted = "interrupted",
        Unknown = "unknown",
    }
}

words! {
    /// What a try of a permission came to.
    PermissionResult {
        /// The provider says that it would do it.
        Granted = "granted",
        /// The provider says that it would not.
        Denied = "denied",
        /// It can't be told without making something, or the provider did not say.
        Unknown = "unknown",
    }
}

words! {
    /// The state of a machine.
    State {
        Creating = "creating",
        Idle = "idle",
        Acquired = "acquired",
        Used = "used",
        Removing = "removing",
        StuckOnRemoving = "stuck-on-removing",
    }
}

words! {
    /// The type of a driver option. A list may be given several times; a bool is `true` or `false`.
    OptionType {
        String = "string",
        Int = "int",
        Bool = "bool",
        List = "list",
    }
}

words! {
    /// Level of a log record.
    Level {
        Debug = "debug",
        Info = "info",
        Warn = "warn",
        Error = "error",
    }
}
