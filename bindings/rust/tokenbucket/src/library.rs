//! What is asked of the C library itself.
use std::ffi::{CStr, CString};

use tokenbucket_sys as sys;

/// The version of the C library in use, such as "1.0.0".
pub fn library_version() -> &'static str {
    // SAFETY: the text is static and terminated.
    let text = unsafe { CStr::from_ptr(sys::tb_library_version_string()) };
    text.to_str().unwrap_or("unreadable version")
}

/// Whether the C library in use was built with a feature that its header names, such as "counter_clock".
pub fn has_feature(name: &str) -> bool {
    // No feature has a NUL in its name.
    CString::new(name).map_or(false, |name| {
        // SAFETY: the name lives for the call.
        unsafe { sys::tb_has_feature(name.as_ptr()) == 1 }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_is_of_the_major_that_is_declared() {
        assert!(library_version().starts_with(&format!("{}.", sys::TB_VERSION_MAJOR)), "{}", library_version());
    }

    #[test]
    fn only_known_features_are_there() {
        assert_eq!(has_feature("counter_clock"), cfg!(any(target_arch = "x86_64", target_arch = "aarch64")));
        assert!(!has_feature("no such feature"));
        assert!(!has_feature("counter_clock\0"));
    }
}
