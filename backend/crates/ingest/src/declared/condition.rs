//! Conditions of the declarative formats.

use super::expr::Expr;
use super::path::Path;
use super::scope::Scope;

/// When a rule applies: `a` (there and not empty), `?a` (the key is there), `!?a` (it is not), `!a`, `a = x|y`, `a != x|y`, `a ~ part`, `a ^= start`, `a > 3`, `a < 3`, joined by `and`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Condition(Vec<Test>);

#[derive(Clone, Debug)]
struct Test {
    expr: Expr,
    is: Is,
}

#[derive(Clone, Debug)]
enum Is {
    There,
    Known,
    Unknown,
    Absent,
    OneOf(Vec<String>),
    NoneOf(Vec<String>),
    Containing(Vec<String>),
    Starting(Vec<String>),
    Over(f64),
    Under(f64),
}

impl Condition {
    /// Parses a condition.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        text.split(" and ").map(test).collect::<Result<_, _>>().map(Self)
    }

    /// Whether it holds.
    pub(crate) fn holds(&self, scope: &Scope<'_>) -> bool {
        self.0.iter().all(|test| test.holds(scope))
    }

    /// Hands each path in it to the closure.
    pub(crate) fn paths(&self, give: &mut dyn FnMut(&Path)) {
        for test in &self.0 {
            match (&test.is, &test.expr) {
                // What is only asked to be there is not held.
                (Is::There | Is::Known | Is::Unknown | Is::Absent, Expr::Path(path)) => {
                    let mut path = path.clone();
                    path.steps.push(super::path::Step::Present);
                    give(&path);
                }
                (_, expr) => expr.paths(give),
            }
        }
    }
}

fn test(text: &str) -> Result<Test, String> {
    let text = text.trim();
    if let Some(path) = text.strip_prefix("!?") {
        return Ok(Test {
            expr: Expr::parse(path)?,
            is: Is::Unknown,
        });
    }
    if let Some(path) = text.strip_prefix('!') {
        return Ok(Test {
            expr: Expr::parse(path)?,
            is: Is::Absent,
        });
    }
    if let Some(path) = text.strip_prefix('?') {
        return Ok(Test {
            expr: Expr::parse(path)?,
            is: Is::Known,
        });
    }
    type Make = fn(&str) -> Result<Is, String>;
    let operators: [(&str, Make); 6] = [
        (" != ", |words| Ok(Is::NoneOf(split(words)))),
        (" ^= ", |words| Ok(Is::Starting(split(words)))),
        (" = ", |words| Ok(Is::OneOf(split(words)))),
        (" ~ ", |words| Ok(Is::Containing(split(words)))),
        (" > ", |number| parse_number(number).map(Is::Over)),
        (" < ", |number| parse_number(number).map(Is::Under)),
    ];
    for (operator, make) in operators {
        if let Some((left, right)) = text.split_once(operator) {
            return Ok(Test {
                expr: Expr::parse(left.trim())?,
                is: make(right.trim())?,
            });
        }
    }
    Ok(Test {
        expr: Expr::parse(text)?,
        is: Is::There,
    })
}

fn split(words: &str) -> Vec<String> {
    words.split('|').map(|word| word.trim().to_ascii_lowercase()).collect()
}

fn parse_number(text: &str) -> Result<f64, String> {
    text.parse().map_err(|_| format!("\"{text}\" is not a number"))
}

impl Test {
    fn holds(&self, scope: &Scope<'_>) -> bool {
        match &self.is {
            Is::There => self.is_there(scope),
            Is::Known => self.is_known(scope),
            Is::Unknown => !self.is_known(scope),
            Is::Absent => !self.is_there(scope),
            Is::OneOf(words) => self.any(scope, |text| words.iter().any(|word| word.eq_ignore_ascii_case(text))),
            Is::NoneOf(words) => !self.any(scope, |text| words.iter().any(|word| word.eq_ignore_ascii_case(text))),
            Is::Containing(words) => self.any(scope, |text| {
                let lower = text.to_ascii_lowercase();
                words.iter().any(|word| lower.contains(word.as_str()))
            }),
            Is::Starting(words) => self.any(scope, |text| {
                let begins = |word: &String| {
                    text.as_bytes()
                        .get(..word.len())
                        .map(|start| start.eq_ignore_ascii_case(word.as_bytes()))
                };
                words.iter().any(|word| begins(word) == Some(true))
            }),
            Is::Over(number) => self.any(scope, |text| text.parse::<f64>().is_ok_and(|value| value > *number)),
            Is::Under(number) => self.any(scope, |text| text.parse::<f64>().is_ok_and(|value| value < *number)),
        }
    }

    /// There is a value: any but `false`, or a list or object.
    fn is_there(&self, scope: &Scope<'_>) -> bool {
        if let Expr::Path(path) = &self.expr {
            let mut found = false;
            scope.nodes(path, &mut |node| found |= node.is_container());
            if found {
                return true;
            }
        }
        self.any(scope, |text| !text.eq_ignore_ascii_case("false"))
    }

    fn is_known(&self, scope: &Scope<'_>) -> bool {
        let mut found = false;
        if let Expr::Path(path) = &self.expr {
            scope.nodes(path, &mut |_| found = true);
        }
        found
    }

    fn any(&self, scope: &Scope<'_>, accept: impl Fn(&str) -> bool) -> bool {
        let mut found = false;
        self.expr.each(scope, &mut |value| found |= accept(value));
        found
    }
}
