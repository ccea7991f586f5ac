//! The parameters of a call, and pktd's complaints about them.

use serde_json::{Map, Value};

use super::refusal::Refusal;

/// The parameters of a call.
#[derive(Clone, Debug, PartialEq)]
pub struct Params(Vec<Value>);

impl Params {
    /// From the array of a request.
    pub fn new(params: Vec<Value>) -> Self {
        Self(params)
    }

    /// Refuses any parameter.
    pub fn none(&self) -> Result<(), Refusal> {
        self.count(0, 0)
    }

    /// Refuses another number of parameters.
    pub fn count(&self, least: usize, most: usize) -> Result<(), Refusal> {
        let found = self.0.len();
        if (least..=most).contains(&found) {
            return Ok(());
        }
        let expected = if least == most { least.to_string() } else { format!("between {least} and {most}") };
        Err(Refusal::invalid_params(format!(
            "Invalid parameters: ErrNumParams: the number of params supplied do not match the requirements of the \
             associated command: wrong number of params (expected {expected}, received {found})"
        )))
    }

    /// The parameter at `index`, unless it was left out.
    pub fn get(&self, index: usize) -> Option<&Value> {
        self.0.get(index)
    }

    /// A string.
    pub fn text(&self, index: usize, name: &str) -> Result<&str, Refusal> {
        self.get(index).and_then(Value::as_str).ok_or_else(|| wrong_type(index, name, "expects \" or n"))
    }

    /// A whole number.
    pub fn integer(&self, index: usize, name: &str) -> Result<i64, Refusal> {
        self.get(index).and_then(Value::as_i64).ok_or_else(|| wrong_type(index, name, "unexpected character"))
    }

    /// A number from 0 to 2^32 − 1.
    pub fn u32(&self, index: usize, name: &str) -> Result<u32, Refusal> {
        let number = self.integer(index, name)?;
        u32::try_from(number).map_err(|_| wrong_type(index, name, "expected a number from 0 to 4294967295"))
    }

    /// A truth value; pktd also takes 0 and 1.
    pub fn flag(&self, index: usize, name: &str, default: bool) -> Result<bool, Refusal> {
        match self.get(index) {
            None => Ok(default),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(number) if number.as_i64() == Some(0) => Ok(false),
            Some(number) if number.as_i64() == Some(1) => Ok(true),
            Some(_) => Err(wrong_type(index, name, "expect t or f")),
        }
    }

    /// An object.
    pub fn object(&self, index: usize, name: &str) -> Result<&Map<String, Value>, Refusal> {
        self.get(index).and_then(Value::as_object).ok_or_else(|| wrong_type(index, name, "expect { or n"))
    }
}

/// pktd's text for a parameter of another type.
pub fn wrong_type(index: usize, name: &str, reason: &str) -> Refusal {
    Refusal::invalid_params(format!(
        "Invalid parameters: ErrInvalidType: a type was passed that is not the required type: parameter #{} \
         '{name}' failed to unmarshal: {reason}",
        index + 1
    ))
}

/// Reads hexadecimal text as pktd does: a missing first digit is a zero.
pub fn decode_hex(text: &str) -> Result<Vec<u8>, Refusal> {
    let padded = if text.len().is_multiple_of(2) { text.to_owned() } else { format!("0{text}") };
    hex::decode(&padded).map_err(|_| Refusal::not_hex(&padded))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_odd_number_of_digits_gets_a_zero_in_front() {
        assert_eq!(decode_hex("123"), Ok(vec![0x01, 0x23]));
        assert!(decode_hex("xyz").unwrap_err().message.ends_with("(not \"0xyz\")"));
    }

    #[test]
    fn every_complaint_names_the_parameter() {
        let params = Params::new(vec![json!("x"), json!(-1)]);
        assert!(params.integer(0, "index").unwrap_err().message.contains("parameter #1 'index'"));
        assert!(params.u32(1, "count").unwrap_err().message.contains("parameter #2 'count'"));
        let count = params.count(0, 1).unwrap_err().message;
        assert!(count.ends_with("(expected between 0 and 1, received 2)"), "{count}");
    }
}
