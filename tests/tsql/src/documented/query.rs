//! Queries: names are resolved to the documented columns, and expressions get their types.

use pcdr_facts::{Base, Facts, Relation, Size, SqlType};

use super::answer::AnswerColumn;
use super::node::Node;
use super::{Check, nvarchar, plain, sql_type};

/// What the names in a query mean: each alias with its columns.
#[derive(Debug, Default)]
pub(super) struct Scope {
    sources: Vec<Source>,
}

#[derive(Debug)]
struct Source {
    alias: String,
    /// For `read`; empty for a derived table.
    relation: String,
    columns: Vec<AnswerColumn>,
}

/// The type of an expression, as far as the check understands it.
#[derive(Debug, Clone, Copy)]
struct Typed {
    /// `None` for NULL, which has none, and for what was reported already.
    ty: Option<SqlType>,
    /// Whether it may be NULL; `None` when nobody says.
    null: Option<bool>,
}

const UNKNOWN: Typed = Typed { ty: None, null: None };

fn of(ty: SqlType, null: bool) -> Typed {
    Typed { ty: Some(ty), null: Some(null) }
}

/// What functions and globals give: name, type, whether it may be NULL. Those whose type follows from an
/// argument are in `Check::function`.
///
/// Source: the vendor's page of each.
fn known(name: &str) -> Option<Typed> {
    let int = plain(Base::Int);
    Some(match name.to_uppercase().as_str() {
        "SYSDATETIMEOFFSET" => {
            of(SqlType { base: Base::DateTimeOffset, size: Size::Fractions(7) }, false)
        }
        "SERVERPROPERTY" => of(plain(Base::SqlVariant), true),
        "COUNT" => of(int, false),
        "ERROR_NUMBER" => of(int, true),
        "ERROR_MESSAGE" => of(nvarchar(4000), true),
        "IS_SRVROLEMEMBER" | "IS_ROLEMEMBER" | "HAS_PERMS_BY_NAME" | "HAS_DBACCESS"
        | "OBJECT_ID" | "SUSER_ID" => of(int, true),
        "QUOTENAME" => of(nvarchar(258), true),
        "DB_NAME" | "SUSER_SNAME" => of(nvarchar(128), true),
        "@@SPID" => of(plain(Base::SmallInt), false),
        "@@TRANCOUNT" => of(int, false),
        "@@SERVERNAME" => of(nvarchar(128), true),
        _ => return None,
    })
}

/// Types that compare with each other without a conversion that may fail or lose an index.
#[derive(Debug, PartialEq, Eq)]
enum Family {
    Number,
    Text,
    Guid,
    Time,
    Bytes,
    Variant,
}

fn family(ty: SqlType) -> Family {
    match ty.base {
        _ if ty.is_text() => Family::Text,
        Base::UniqueIdentifier => Family::Guid,
        Base::DateTime | Base::DateTime2 | Base::DateTimeOffset => Family::Time,
        Base::Binary | Base::VarBinary => Family::Bytes,
        Base::SqlVariant => Family::Variant,
        _ => Family::Number,
    }
}

impl<'a> Check<'a> {
    /// Checks a query and gives back its columns.
    pub(super) fn select(&mut self, query: Node<'_>, outer: &[&Scope]) -> Vec<AnswerColumn> {
        if query.class() != "QuerySpecification" {
            self.problem(format!("{} is a query that the check does not know", query.class()));
            return Vec::new();
        }
        let mut scope = Scope::default();
        let mut conditions = Vec::new();
        let from = query.node("FromClause").map(|from| from.nodes("TableReferences"));
        for table in from.unwrap_or_default() {
            self.source(table, outer, &mut scope, &mut conditions);
        }
        let scopes = Check::scopes(outer, &scope);
        for condition in conditions {
            self.condition(condition, &scopes);
        }
        for clause in ["WhereClause", "OrderByClause", "GroupByClause", "HavingClause"] {
            if let Some(clause) = query.node(clause) {
                self.condition(clause, &scopes);
            }
        }
        let mut columns = Vec::new();
        for element in query.nodes("SelectElements") {
            match (element.class(), element.node("Expression")) {
                ("SelectScalarExpression", Some(expression)) => {
                    let typed = self.expression(expression, &scopes);
                    let alias = element.node("ColumnName").and_then(|name| name.node("Identifier"));
                    let name = alias.map_or_else(|| own_name(expression), Node::value);
                    match typed.ty {
                        Some(ty) => columns.push(AnswerColumn {
                            name: name.to_owned(),
                            ty,
                            null: typed.null,
                        }),
                        None => self.problem(format!("the column {name:?} has no type")),
                    }
                }
                ("SelectSetVariable", Some(expression)) => {
                    let typed = self.expression(expression, &scopes);
                    let name = element.node("Variable").map(|variable| variable.text("Name"));
                    let declared = self.variable(name.unwrap_or_default());
                    if let (Some(ty), Some(declared)) = (typed.ty, declared)
                        && ty != declared
                    {
                        self.problem(format!(
                            "{} is {declared}, and is set to {ty}",
                            name.unwrap_or_default()
                        ));
                    }
                }
                (other, _) => self.problem(format!("{other} in SELECT is not known to the check")),
            }
        }
        columns
    }

    fn source<'n>(
        &mut self,
        table: Node<'n>,
        outer: &[&Scope],
        scope: &mut Scope,
        conditions: &mut Vec<Node<'n>>,
    ) {
        let alias = table.node("Alias").map(Node::value).unwrap_or_default().to_owned();
        match table.class() {
            "QueryDerivedTable" => {
                let query = table.node("QueryExpression");
                let columns = query.map(|query| self.select(query, outer)).unwrap_or_default();
                scope.sources.push(Source { alias, relation: String::new(), columns });
            }
            "NamedTableReference" => {
                let parts = table.node("SchemaObject").map(Node::parts).unwrap_or_default();
                match relation(self.facts, &parts) {
                    Ok(relation) => {
                        let (year, trying) = (self.year, self.trying);
                        let columns = relation.columns.iter();
                        let columns = columns.filter(|column| column.is_in(year) || trying);
                        let columns = columns.map(|column| AnswerColumn {
                            name: column.name.clone(),
                            ty: column.wire(),
                            null: column.null,
                        });
                        let columns = columns.collect();
                        scope.sources.push(Source {
                            alias,
                            relation: relation.full_name(),
                            columns,
                        });
                    }
                    Err(problem) => self.problem(problem),
                }
            }
            "SchemaObjectFunctionTableReference" => {
                for argument in table.nodes("Parameters") {
                    self.expression(argument, outer);
                }
                let parts = table.node("SchemaObject").map(Node::parts).unwrap_or_default();
                let relation = parts.join(".");
                match self.facts.result(&relation) {
                    Some(documented) => {
                        let columns = documented.columns.iter();
                        let columns = columns.filter(|column| column.is_in(self.year));
                        let columns = columns.map(|column| AnswerColumn {
                            name: column.name.clone(),
                            ty: column.wire(),
                            null: column.null,
                        });
                        let columns = columns.collect();
                        scope.sources.push(Source { alias, relation, columns });
                    }
                    None => self.problem(format!("{relation} is no function that is known")),
                }
            }
            "QualifiedJoin" => {
                let before = scope.sources.len();
                if let Some(first) = table.node("FirstTableReference") {
                    self.source(first, outer, scope, conditions);
                }
                let between = scope.sources.len();
                if let Some(second) = table.node("SecondTableReference") {
                    self.source(second, outer, scope, conditions);
                }
                let optional = match table.text("QualifiedJoinType") {
                    "Inner" => scope.sources.len()..scope.sources.len(),
                    "LeftOuter" => between..scope.sources.len(),
                    other => {
                        self.problem(format!("a join {other} is not known to the check"));
                        before..scope.sources.len()
                    }
                };
                let optional = scope.sources.get_mut(optional).into_iter().flatten();
                for column in optional.flat_map(|source| &mut source.columns) {
                    column.null = Some(true);
                }
                conditions.extend(table.node("SearchCondition"));
            }
            "UnqualifiedJoin" => {
                if let Some(first) = table.node("FirstTableReference") {
                    self.source(first, outer, scope, conditions);
                }
                let kind = table.text("UnqualifiedJoinType");
                if !matches!(kind, "CrossJoin" | "CrossApply" | "OuterApply") {
                    self.problem(format!("a join {kind} is not known to the check"));
                }
                // What is applied sees the names to its left.
                let mut second = Scope::default();
                if let Some(table) = table.node("SecondTableReference") {
                    let scopes = Check::scopes(outer, scope);
                    let scopes = if kind == "CrossJoin" { outer } else { &scopes };
                    self.source(table, scopes, &mut second, conditions);
                }
                let columns = second.sources.iter_mut().flat_map(|source| &mut source.columns);
                if kind != "CrossJoin" && kind != "CrossApply" {
                    columns.for_each(|column| column.null = Some(true));
                }
                scope.sources.append(&mut second.sources);
            }
            other => self.problem(format!("{other} in FROM is not known to the check")),
        }
    }

    /// Checks everything inside of a condition, or of a clause.
    pub(super) fn condition(&mut self, condition: Node<'_>, scopes: &[&Scope]) {
        let sides: Vec<Node<'_>> = match condition.class() {
            "BooleanComparisonExpression" | "LikePredicate" => {
                ["FirstExpression", "SecondExpression"]
                    .into_iter()
                    .filter_map(|side| condition.node(side))
                    .collect()
            }
            "InPredicate" => {
                let mut sides: Vec<Node<'_>> = condition.node("Expression").into_iter().collect();
                sides.extend(condition.nodes("Values"));
                sides.extend(condition.node("Subquery"));
                sides
            }
            "ExistsPredicate" => {
                let query = condition.node("Subquery").and_then(|sub| sub.node("QueryExpression"));
                if let Some(query) = query {
                    self.select(query, scopes);
                }
                return;
            }
            class if is_expression(class) => {
                self.expression(condition, scopes);
                return;
            }
            _ => {
                for child in condition.children() {
                    self.condition(child, scopes);
                }
                return;
            }
        };
        let mut first = None;
        for side in sides {
            let is_literal = side.class() == "StringLiteral";
            let Some(ty) = self.expression(side, scopes).ty else { continue };
            let Some(compared) = first else {
                first = Some(ty);
                continue;
            };
            let (a, b) = (family(compared), family(ty));
            if a != b && !(a == Family::Guid && is_literal) {
                self.problem(format!("{compared} is compared with {ty}"));
            }
        }
    }

    fn expression(&mut self, expression: Node<'_>, scopes: &[&Scope]) -> Typed {
        let inner = |property| expression.node(property);
        match expression.class() {
            "ColumnReferenceExpression" => self.column(expression, scopes),
            "IntegerLiteral" => of(plain(Base::Int), false),
            "StringLiteral" => {
                let mut ty = nvarchar(expression.value().encode_utf16().count());
                if !expression.is("IsNational") {
                    ty.base = Base::VarChar;
                }
                of(ty, false)
            }
            "NullLiteral" => Typed { ty: None, null: Some(true) },
            "VariableReference" => {
                Typed { ty: self.variable(expression.text("Name")), null: Some(true) }
            }
            "GlobalVariableExpression" => {
                let name = expression.text("Name");
                known(name).unwrap_or_else(|| {
                    self.problem(format!("{name} is not known to the check"));
                    UNKNOWN
                })
            }
            "CastCall" | "ConvertCall" => {
                let of = inner("Parameter").map_or(UNKNOWN, |inner| self.expression(inner, scopes));
                let ty = inner("DataType").and_then(sql_type);
                if ty.is_none() {
                    self.problem("a CAST to a type that the check does not know");
                }
                Typed { ty, null: of.null }
            }
            "ParenthesisExpression" => {
                inner("Expression").map_or(UNKNOWN, |inner| self.expression(inner, scopes))
            }
            "ScalarSubquery" => {
                let columns = inner("QueryExpression").map(|query| self.select(query, scopes));
                match columns.unwrap_or_default().as_slice() {
                    [only] => {
                        // An aggregate without GROUP BY always has its row; any other query may have none.
                        let counts = only.null == Some(false) && is_count(expression);
                        Typed { ty: Some(only.ty), null: Some(!counts) }
                    }
                    other => {
                        self.problem(format!(
                            "a subquery for one value has {} columns",
                            other.len()
                        ));
                        UNKNOWN
                    }
                }
            }
            "FunctionCall" => self.function(expression, scopes),
            other => {
                self.problem(format!("{other} is an expression that the check does not know"));
                UNKNOWN
            }
        }
    }

    fn function(&mut self, call: Node<'_>, scopes: &[&Scope]) -> Typed {
        let name = call.node("FunctionName").map(Node::value).unwrap_or_default();
        let all_rows = |argument: &Node<'_>| argument.text("ColumnType") == "Wildcard";
        let arguments = call.nodes("Parameters");
        let arguments = arguments.into_iter().filter(|argument| !all_rows(argument));
        let typed: Vec<Typed> =
            arguments.map(|argument| self.expression(argument, scopes)).collect();
        match (name.to_uppercase().as_str(), typed.as_slice()) {
            ("MAX" | "MIN", [of]) => Typed { ty: of.ty, null: Some(true) },
            ("ISNULL", [first, second]) => Typed { ty: first.ty, null: second.null },
            _ => known(name).unwrap_or_else(|| {
                self.problem(format!("{name} is a function that the check does not know"));
                UNKNOWN
            }),
        }
    }

    fn column(&mut self, reference: Node<'_>, scopes: &[&Scope]) -> Typed {
        let parts = reference.node("MultiPartIdentifier").map(Node::parts).unwrap_or_default();
        let [alias, name] = parts.as_slice() else {
            self.problem(format!("{} is not a column with its alias", parts.join(".")));
            return UNKNOWN;
        };
        let sources = scopes.iter().rev().flat_map(|scope| &scope.sources);
        let source = sources.into_iter().find(|source| source.alias.eq_ignore_ascii_case(alias));
        let Some(source) = source else {
            self.problem(format!("{alias} in {alias}.{name} names no table"));
            return UNKNOWN;
        };
        let column = source.columns.iter().find(|column| column.name.eq_ignore_ascii_case(name));
        let Some(column) = column else {
            self.problem(format!("{} has no column {name} in {}", source.relation, self.year));
            return UNKNOWN;
        };
        if !source.relation.is_empty() {
            let full = format!("{}.{}", source.relation, column.name);
            if is_later(self.facts, &source.relation, &column.name, self.year) {
                self.found.tried.insert(full.clone());
            }
            self.found.read.insert(full);
        }
        Typed { ty: Some(column.ty), null: column.null }
    }
}

/// Whether a column came after a release.
fn is_later(facts: &Facts, relation: &str, column: &str, year: u16) -> bool {
    let found = facts.relations.iter().find(|one| one.full_name() == relation);
    let column = found.and_then(|relation| relation.column(column));
    column.is_some_and(|column| !column.is_in(year))
}

/// The table or view of a name.
fn relation<'f>(facts: &'f Facts, parts: &[&str]) -> Result<&'f Relation, String> {
    let full = parts.join(".");
    let (database, schema, name) = match parts {
        [schema, name] => (None, *schema, *name),
        [database, schema, name] => (Some(*database), *schema, *name),
        _ => return Err(format!("{full} is not named by its schema")),
    };
    let relation = facts.relation(schema, name);
    let relation = relation.ok_or_else(|| format!("{full} is no documented table or view"))?;
    match (relation.database.as_deref(), database) {
        (Some(lives), Some(named)) if lives.eq_ignore_ascii_case(named) => Ok(relation),
        (Some(_), _) => Err(format!("{full} lives in another database")),
        (None, None) if relation.of_the_pool => Err(format!("{full} is in no named database")),
        (None, _) => Ok(relation),
    }
}

fn is_expression(class: &str) -> bool {
    matches!(
        class,
        "ColumnReferenceExpression"
            | "IntegerLiteral"
            | "StringLiteral"
            | "NullLiteral"
            | "VariableReference"
            | "GlobalVariableExpression"
            | "CastCall"
            | "ConvertCall"
            | "ParenthesisExpression"
            | "ScalarSubquery"
            | "FunctionCall"
    )
}

fn is_count(subquery: Node<'_>) -> bool {
    let elements = subquery.node("QueryExpression").map(|query| query.nodes("SelectElements"));
    let first = elements.unwrap_or_default().first().and_then(|element| element.node("Expression"));
    let name = first.and_then(|call| call.node("FunctionName")).map(Node::value);
    name.is_some_and(|name| name.eq_ignore_ascii_case("COUNT"))
}

/// The name that a column has by itself.
fn own_name(expression: Node<'_>) -> &str {
    let parts = expression.node("MultiPartIdentifier").map(Node::parts);
    parts.unwrap_or_default().last().copied().unwrap_or_default()
}
