//! A node of the parser's tree.

use serde_json::Value;

/// A node: a class with properties.
#[derive(Debug, Clone, Copy)]
pub struct Node<'a>(pub &'a Value);

impl<'a> Node<'a> {
    /// The parser's class; empty for what is no node.
    #[must_use]
    pub fn class(self) -> &'a str {
        self.0.get("is").and_then(Value::as_str).unwrap_or_default()
    }

    /// A property that is text, or the name of a choice; empty when it is not set.
    #[must_use]
    pub fn text(self, property: &str) -> &'a str {
        self.0.get(property).and_then(Value::as_str).unwrap_or_default()
    }

    /// The text of an identifier or literal.
    #[must_use]
    pub fn value(self) -> &'a str {
        self.text("Value")
    }

    /// Whether a property is set.
    #[must_use]
    pub fn is(self, property: &str) -> bool {
        self.text(property) == "True"
    }

    /// A property that is a node.
    #[must_use]
    pub fn node(self, property: &str) -> Option<Node<'a>> {
        self.0.get(property).filter(|value| value.is_object()).map(Node)
    }

    /// A property that is a list of nodes; empty when it is not set.
    #[must_use]
    pub fn nodes(self, property: &str) -> Vec<Node<'a>> {
        self.0.get(property).and_then(Value::as_array).into_iter().flatten().map(Node).collect()
    }

    /// Every node right below this one.
    #[must_use]
    pub fn children(self) -> Vec<Node<'a>> {
        let properties = self.0.as_object().into_iter().flat_map(|object| object.values());
        properties
            .flat_map(|value| match value {
                Value::Array(items) => items.iter().map(Node).collect::<Vec<_>>(),
                Value::Object(_) => vec![Node(value)],
                _ => Vec::new(),
            })
            .filter(|node| !node.class().is_empty())
            .collect()
    }

    /// The parts of a name with points, from a node that holds `Identifiers`.
    #[must_use]
    pub fn parts(self) -> Vec<&'a str> {
        self.nodes("Identifiers").into_iter().map(Node::value).collect()
    }
}

/// Where every node of a class is, as JSON pointers, from the root to the leaves.
#[must_use]
pub fn pointers(tree: &Value, class: &str) -> Vec<String> {
    fn visit(value: &Value, at: &str, class: &str, found: &mut Vec<String>) {
        match value {
            Value::Object(object) => {
                if object.get("is").and_then(Value::as_str) == Some(class) {
                    found.push(at.to_owned());
                }
                for (property, value) in object {
                    visit(value, &format!("{at}/{property}"), class, found);
                }
            }
            Value::Array(items) => {
                for (index, value) in items.iter().enumerate() {
                    visit(value, &format!("{at}/{index}"), class, found);
                }
            }
            _ => {}
        }
    }
    let mut found = Vec::new();
    visit(tree, "", class, &mut found);
    found
}
