//! Bearer tokens of an OpenID Connect provider: signed JWTs whose claims are mapped to scopes.

mod claims;
mod code_flow;
#[cfg(test)]
mod fuzz_test;
mod jwt;
#[cfg(test)]
mod jwt_test;
mod key_set;
mod probe;
mod provider;
mod provider_keys;
mod scope_mapping;
mod settings;
mod signature;
#[cfg(test)]
mod testing;
mod token;
mod verifier;

pub use code_flow::{CodeFlow, OidcClient, PendingSignIn, SignInError};
pub use probe::probe;
pub use scope_mapping::ScopeMapping;
pub use settings::{Issuer, OidcSettings};
pub use token::{LEEWAY, Token, TokenError};
pub use verifier::TokenVerifier;
