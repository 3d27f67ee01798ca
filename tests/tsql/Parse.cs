// Runs the vendor's own T-SQL parser (ScriptDom, TSql150Parser) over a stream of batches.
//
// In:  per batch its length in bytes (32 bits, little-endian) and its text in UTF-8, until the stream ends.
// Out: per batch one line of JSON in ASCII:
//      errors      [{line, column, number, message}]; of SQL inside of SQL too, by its own lines and columns
//      batches     how many the parser itself saw; statements: class of each statement at the top
//      names       every identifier and variable; strings, integers, others: every literal; in the order of the tree
//      shape       hash over the whole tree, with its options, but without those names and literals
//      tree        that tree as text, when started with the argument --tree
//      nodes       that tree as JSON, names and literals included, when started with --nodes: {"is": class, property:
//                  text, node or list}; SQL inside of SQL is the property "sql" of the literal that it stands in
// SQL inside of SQL belongs to the tree: what sp_executesql and EXEC () run, and the name inside OBJECT_ID.
using System;
using System.Collections.Generic;
using System.IO;
using System.Reflection;
using System.Text;
using Microsoft.SqlServer.TransactSql.ScriptDom;

static class Program {
    static void Main(string[] arguments) {
        var input = new BinaryReader(new BufferedStream(Console.OpenStandardInput()));
        var output = new StreamWriter(Console.OpenStandardOutput(), new UTF8Encoding(false));
        bool withTree = Array.IndexOf(arguments, "--tree") >= 0, withNodes = Array.IndexOf(arguments, "--nodes") >= 0;
        for (byte[] prefix; (prefix = input.ReadBytes(4)).Length == 4; output.Flush()) {
            string text = Encoding.UTF8.GetString(input.ReadBytes(BitConverter.ToInt32(prefix, 0)));
            output.WriteLine(new Description(text, withNodes).ToJson(withTree));
        }
    }
}

class Description {
    static readonly Dictionary<Type, List<PropertyInfo>> properties = new Dictionary<Type, List<PropertyInfo>>();
    static readonly TSqlParser parser = new TSql150Parser(true);
    readonly List<string> errors = new List<string>(), statements = new List<string>(), names = new List<string>(),
        strings = new List<string>(), integers = new List<string>(), others = new List<string>();
    readonly StringBuilder tree = new StringBuilder();
    readonly Dictionary<string, string> variables = new Dictionary<string, string>(); // those made of literals
    readonly Dictionary<TSqlFragment, bool> inner = new Dictionary<TSqlFragment, bool>(); // SQL; true: a name only
    readonly int batches;
    readonly string nodes;
    internal Description(string text, bool withNodes) {
        var script = Parse(text, false) as TSqlScript;
        if (script == null) return;
        batches = script.Batches.Count;
        foreach (var batch in script.Batches) foreach (var top in batch.Statements) statements.Add(top.GetType().Name);
        Walk(script);
        if (withNodes) nodes = Node(script);
    }

    TSqlFragment Parse(string text, bool isName) {
        IList<ParseError> found;
        var reader = new StringReader(text);
        TSqlFragment read = isName ? parser.ParseSchemaObjectName(reader, out found) : parser.Parse(reader, out found);
        foreach (var one in found) Fail(one.Line, one.Column, one.Number, one.Message);
        return found.Count == 0 ? read : null;
    }

    void Fail(int line, int column, int number, string text) => errors.Add("{\"line\":" + line + ",\"column\":" + column
        + ",\"number\":" + number + ",\"message\":" + Quote(text) + "}");

    // What can be set, and every list, is part of the tree: other properties only repeat those.
    static List<PropertyInfo> PropertiesOf(Type type) {
        if (properties.ContainsKey(type)) return properties[type];
        var list = new List<PropertyInfo>(type.GetProperties(BindingFlags.Public | BindingFlags.Instance));
        list.RemoveAll(one => one.GetIndexParameters().Length > 0 || one.DeclaringType == typeof(TSqlFragment)
            || (one.GetSetMethod() == null && one.PropertyType.Name != "IList`1"));
        return properties[type] = list;
    }

    void Walk(TSqlFragment node) {
        FindInner(node);
        tree.Append(node.GetType().Name).Append('(');
        foreach (var property in PropertiesOf(node.GetType())) {
            object value = property.GetValue(node);
            if (value is string) Take(node, property.Name, (string)value);
            else foreach (object item in value as System.Collections.IEnumerable ?? new[] { value }) {
                if (item == null || false.Equals(item)) continue;
                tree.Append(property.Name).Append('=');
                if (item is TSqlFragment) Walk((TSqlFragment)item); else tree.Append(item).Append(' ');
            }
        }
        tree.Append(')');
    }

    void Take(TSqlFragment node, string property, string value) {
        tree.Append(property).Append("=? ");
        var literals = node is StringLiteral ? strings : node is IntegerLiteral ? integers : others;
        TSqlFragment read = inner.ContainsKey(node) ? Parse(value, inner[node]) : null;
        if (read != null) Walk(read);
        else if (!inner.ContainsKey(node)) (node is Literal ? literals : names).Add(value);
    }

    string Node(TSqlFragment node) {
        FindInner(node);
        var json = new StringBuilder("{\"is\":" + Quote(node.GetType().Name));
        foreach (var property in PropertiesOf(node.GetType())) {
            object value = property.GetValue(node);
            if (value == null || false.Equals(value)) continue;
            json.Append(",").Append(Quote(property.Name)).Append(":");
            var list = value is string ? null : value as System.Collections.IEnumerable;
            var items = new List<string>();
            foreach (object item in list ?? new[] { value })
                items.Add(item is TSqlFragment ? Node((TSqlFragment)item) : Quote(item.ToString()));
            json.Append(list == null ? items[0] : "[" + string.Join(",", items) + "]");
            TSqlFragment sql = value is string && inner.ContainsKey(node) && !inner[node] ? Parse((string)value, false) : null;
            if (sql != null) json.Append(",\"sql\":").Append(Node(sql));
        }
        return json.Append('}').ToString();
    }

    void FindInner(TSqlFragment node) {
        var call = node as ExecutableProcedureReference;
        var texts = node as ExecutableStringList;
        var function = node as FunctionCall;
        var declared = node as DeclareVariableElement;
        var procedure = call == null ? null : call.ProcedureReference.ProcedureReference; // null: named by a variable
        if (procedure != null && Is(procedure.Name.BaseIdentifier, "sp_executesql") && call.Parameters.Count > 0)
            Mark(call.Parameters[0].ParameterValue, false);
        if (texts != null) foreach (var text in texts.Strings) Mark(text, false);
        if (function != null && Is(function.FunctionName, "OBJECT_ID")) Mark(function.Parameters[0], true);
        if (declared != null) variables[declared.VariableName.Value] = Constant(declared.Value);
    }

    // SQL in a variable is read where it runs; its pieces stay literals where they are.
    void Mark(ScalarExpression sql, bool isName) {
        string text = Constant(sql);
        StringLiteral literal = sql as StringLiteral ?? new StringLiteral { Value = text };
        inner[literal] = isName;
        if (text == null) Fail(sql.StartLine, sql.StartColumn, 0, "SQL inside of SQL is not made of literals only");
        else if (literal != sql) Walk(literal);
    }

    static bool Is(Identifier identifier, string name) =>
        identifier != null && string.Equals(identifier.Value, name, StringComparison.OrdinalIgnoreCase);

    // The text of literals, NCHAR(n), variables declared so, CAST(… AS …) and + of those; otherwise null.
    string Constant(ScalarExpression value) {
        var sum = value as BinaryExpression;
        var call = value as FunctionCall;
        string text = null;
        if (value is StringLiteral) return ((StringLiteral)value).Value;
        if (value is CastCall) return Constant(((CastCall)value).Parameter);
        if (value is VariableReference) variables.TryGetValue(((VariableReference)value).Name, out text);
        if (call != null && Is(call.FunctionName, "NCHAR") && call.Parameters[0] is IntegerLiteral)
            return ((char)int.Parse(((IntegerLiteral)call.Parameters[0]).Value)).ToString();
        if (sum == null || sum.BinaryExpressionType != BinaryExpressionType.Add) return text;
        string first = Constant(sum.FirstExpression), rest = Constant(sum.SecondExpression);
        return first == null || rest == null ? null : first + rest;
    }

    internal string ToJson(bool withTree) {
        ulong hash = 14695981039346656037; // FNV-1a
        foreach (char c in tree.ToString()) hash = unchecked((hash ^ c) * 1099511628211);
        return "{\"errors\":[" + string.Join(",", errors) + "],\"batches\":" + batches + List("statements", statements)
            + List("names", names) + List("strings", strings) + List("integers", integers) + List("others", others)
            + ",\"shape\":\"" + hash.ToString("x16") + "\"" + (withTree ? ",\"tree\":" + Quote(tree.ToString()) : "")
            + (nodes == null ? "" : ",\"nodes\":" + nodes) + "}";
    }

    static string List(string name, List<string> items) =>
        ",\"" + name + "\":[" + string.Join(",", items.ConvertAll(Quote)) + "]";

    static string Quote(string text) {
        var quoted = new StringBuilder("\"");
        foreach (char c in text)
            if (c >= ' ' && c <= '~' && c != '"' && c != '\\') quoted.Append(c);
            else quoted.Append("\\u" + ((int)c).ToString("x4"));
        return quoted.Append('"').ToString();
    }
}
