use std::fmt;

use tokenbucket_sys as sys;

use crate::{Argument, Error};

const SIZE: usize = sys::TB_ADDRESS_KEY_SIZE as usize;

/// The key of a network address, made by [`address_key`]: 4 bytes for IPv4, 16 for IPv6.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct AddressKey {
    /// Zero beyond the size.
    bytes: [u8; SIZE],
    size: usize,
}

impl AsRef<[u8]> for AddressKey {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.size]
    }
}

impl fmt::Debug for AddressKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AddressKey").field(&self.as_ref()).finish()
    }
}

/// The key of a client for a [`Table`](crate::Table): the same for all ways to write an IPv4 address, and for all
/// addresses of an IPv6 network of `ipv6_prefix` bits, 0 to 128; 64 is what one customer usually has. Reads
/// `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]:80`, `fe80::1%eth0`, whose zone is dropped, and
/// `::ffff:192.0.2.1`, which is `192.0.2.1`.
///
/// # Errors
/// `InvalidArgument`: no address, or no prefix.
pub fn address_key(text: &str, ipv6_prefix: u8) -> Result<AddressKey, Error> {
    let mut key = AddressKey { bytes: [0; SIZE], size: 0 };
    let (start, prefix) = (text.as_ptr().cast(), ipv6_prefix.into());
    // SAFETY: the text and the outputs live for the call, and a key has room for every address.
    let status =
        unsafe { sys::tb_address_key(start, text.len(), prefix, key.bytes.as_mut_ptr().cast(), &mut key.size) };
    match status {
        sys::TB_SUCCESS => Ok(key),
        status if ipv6_prefix > 128 => {
            Err(Error::of(status, || Argument::new("ipv6_prefix", "from 0 to 128", ipv6_prefix)))
        }
        status => Err(Error::of(status, || Argument::new("text", "an IPv4 or IPv6 address", text))),
    }
}
