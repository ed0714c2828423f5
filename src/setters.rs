//! One way to set an option, everywhere: a method with the field's name that returns the options.
//!
//! Options are `#[non_exhaustive]`, so that new ones break no program; outside the crate they are
//! made from their default by these methods, or changed field by field.

/// Makes a setter for each field; `into` takes whatever becomes the type.
macro_rules! setters {
    ($($field:ident: $($kind:ident)? [$type:ty]),* $(,)?) => {
        $(setters!(@one $field: $($kind)? [$type]);)*
    };
    (@one $field:ident: into [$type:ty]) => {
        #[doc = concat!("Sets [`", stringify!($field), "`](Self#structfield.", stringify!($field), ").")]
        #[must_use]
        pub fn $field(mut self, $field: impl Into<$type>) -> Self {
            self.$field = $field.into();
            self
        }
    };
    (@one $field:ident: [$type:ty]) => {
        #[doc = concat!("Sets [`", stringify!($field), "`](Self#structfield.", stringify!($field), ").")]
        #[must_use]
        pub fn $field(mut self, $field: $type) -> Self {
            self.$field = $field;
            self
        }
    };
}
