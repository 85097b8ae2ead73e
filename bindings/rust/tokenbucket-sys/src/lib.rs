#![doc = include_str!("../README.md")]
#![no_std]
#![allow(non_camel_case_types)]

#[rustfmt::skip]
mod declarations;

pub use declarations::*;

/// C's `char`. (`core::ffi::c_char` needs Rust 1.64.)
#[cfg(all(
    any(
        target_arch = "aarch64",
        target_arch = "arm",
        target_arch = "powerpc",
        target_arch = "powerpc64",
        target_arch = "riscv32",
        target_arch = "riscv64",
        target_arch = "s390x"
    ),
    not(any(target_vendor = "apple", windows))
))]
pub type c_char = u8;
#[cfg(not(all(
    any(
        target_arch = "aarch64",
        target_arch = "arm",
        target_arch = "powerpc",
        target_arch = "powerpc64",
        target_arch = "riscv32",
        target_arch = "riscv64",
        target_arch = "s390x"
    ),
    not(any(target_vendor = "apple", windows))
)))]
pub type c_char = i8;
