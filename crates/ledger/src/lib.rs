//! Work done, credits, who is to be paid: pure rules, and a store.
