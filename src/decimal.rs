//! Decimal numbers, appended to texts. `std::fmt` takes several times the instructions for each.

/// Appends the number.
pub fn push(text: &mut String, number: u64) {
    let digits = number.checked_ilog10().unwrap_or(0);
    push_digits(text, number, digits as usize + 1);
}

/// Appends the last `count` digits of the number, 20 at the most.
pub fn push_digits(text: &mut String, mut number: u64, count: usize) {
    let mut digits = [b'0'; 20];
    let count = count.min(digits.len());
    for digit in digits[..count].iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
    // They are ASCII.
    text.push_str(str::from_utf8(&digits[..count]).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_as_std_shows_them() {
        let powers = (0..20).map(|power| 10_u64.pow(power));
        for number in powers.flat_map(|power| [power - 1, power, power + 1]).chain([u64::MAX, 65_535]) {
            let mut text = String::from("is ");
            push(&mut text, number);
            assert_eq!(text, format!("is {number}"));
        }
        let mut text = String::new();
        push_digits(&mut text, 12_034, 3);
        push_digits(&mut text, 7, 2);
        assert_eq!(text, "03407");
    }
}
