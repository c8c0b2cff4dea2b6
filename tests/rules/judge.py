"""Judges many documents in one process, as the published schemas and Schematron rules judge them one by one.

    judge.py SCHEMATRON SCHEMA RULES FOREIGN    documents on standard input, one a line, in base64

A line that begins with `?` asks for a second opinion on the schema, of another validator than libxml2's.

SCHEMATRON is the judge of the published rules for single files; from it comes how rules are read. Each line is answered by
one line of JSON: `formed` (null when well-formed, else why not), `schema` (the schema's faults), `rules` ([rule, path] of every
failed assert), `core` and `core_schema`: whether all faults, or the schema's, vanish with what stands inside the elements
that FOREIGN (XPath) finds.
"""
import base64
import copy
import importlib.util
import io
import json
import sys
import traceback
from xml.sax.saxutils import quoteattr

import xmlschema
from lxml import etree
from saxonche import PySaxonProcessor


def stylesheet(path, rules):
    """The Schematron rules as one XSLT: a mode for each pattern, a template for each rule, the first rule that matches counts."""
    spec = importlib.util.spec_from_file_location("schematron", path)
    schematron = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(schematron)
    root = etree.parse(rules).getroot()
    prefixes = {n.get("prefix"): n.get("uri") for n in root.iter(schematron.SCH + "ns")}
    names = "".join(f" xmlns:{prefix}={quoteattr(uri)}" for prefix, uri in prefixes.items())
    out = [f'<xsl:stylesheet version="3.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform"{names}>', '<xsl:output method="text"/>']
    modes = []
    for number, pattern in enumerate(schematron.patterns(root)):
        mode = f"p{number}"
        modes.append(mode)
        # `patterns` reads with ElementTree; only their texts are used here.
        for place, (context, asserts) in enumerate(pattern):
            out.append(f'<xsl:template mode="{mode}" match={quoteattr(context)} priority="{1000 - place}">')
            for ident, test, _ in asserts:
                line = f"'{ident}&#9;', path(), '&#10;'"
                told = f'<xsl:value-of separator="" select="{line}"/>'
                # An assert that cannot be worked out, say because there are two of what there may be one, does not hold.
                out.append(f'<xsl:try><xsl:if test={quoteattr("not(" + test + ")")}>{told}</xsl:if><xsl:catch>{told}</xsl:catch></xsl:try>')
            out.append(f'<xsl:apply-templates mode="{mode}" select="*"/></xsl:template>')
        out.append(f'<xsl:template mode="{mode}" match="text()|comment()|processing-instruction()" priority="-10"/>')
    calls = "".join(f'<xsl:apply-templates mode="{mode}" select="."/>' for mode in modes)
    out.append(f'<xsl:template match="/" priority="2000">{calls}</xsl:template></xsl:stylesheet>')
    return "\n".join(out)


class Judge:
    def __init__(self, saxon, schematron, schema, rules, foreign):
        self.parser = etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=True)
        self.schema = etree.XMLSchema(etree.parse(schema))
        self.second = None
        self.schema_file = schema
        self.saxon = saxon
        self.rules = saxon.new_xslt30_processor().compile_stylesheet(stylesheet_text=stylesheet(schematron, rules))
        self.foreign = etree.XPath(foreign)

    def faults(self, root, second):
        node = self.saxon.parse_xml(xml_text=etree.tostring(root, encoding="unicode"))
        found = self.rules.transform_to_string(xdm_node=node) or ""
        return (self.another if second else self.libxml2)(root), [line.split("\t") for line in found.splitlines()]

    def libxml2(self, root):
        self.schema.validate(root)
        return sorted({f"{error.type_name} {error.path}" for error in self.schema.error_log})

    def another(self, root):
        self.second = self.second or xmlschema.XMLSchema(self.schema_file, allow="local")
        # It knows XML Encryption, which the published schemas do not.
        root = copy.deepcopy(root)
        for element in root.iter("{http://www.w3.org/2001/04/xmlenc#}EncryptedData"):
            element.tag = "{urn:nobody}x"
        try:
            errors = self.second.iter_errors(io.BytesIO(etree.tostring(root, encoding="utf-8")), use_location_hints=False)
            return [str(error.reason)[:200] for error in errors]
        except xmlschema.XMLSchemaException as error:
            return [str(error)[:200]]

    def judge(self, octets, second=False):
        try:
            root = etree.fromstring(octets, self.parser)
        except etree.XMLSyntaxError as error:
            return {"formed": str(error)[:200], "schema": [], "rules": [], "core": False, "core_schema": False}
        if root.getroottree().docinfo.doctype:
            return {"formed": "document type declaration", "schema": [], "rules": [], "core": False, "core_schema": False}
        schema, rules = self.faults(root, second)
        core = core_schema = False
        if schema or rules:
            inside = copy.deepcopy(root)
            for element in self.foreign(inside):
                if element.getparent() is inside and etree.QName(element).localname == "Signature":
                    inside.remove(element)
                    continue
                empty = not "".join(element.itertext()).strip(" \t\r\n")
                for child in list(element):
                    element.remove(child)
                element.attrib.clear()
                if etree.QName(element).localname != "EncryptedData":
                    element.tag = "{urn:nobody}x"
                element.text = None if empty else "x"
            left = self.faults(inside, second)
            core, core_schema = left == ([], []), left[0] == []
        return {"formed": None, "schema": schema, "rules": rules, "core": core, "core_schema": core_schema}


def main():
    with PySaxonProcessor(license=False) as saxon:
        judge = Judge(saxon, *sys.argv[1:5])
        for line in sys.stdin:
            octets = base64.b64decode(line.lstrip("?"))
            try:
                answer = judge.judge(octets, line.startswith("?"))
            except Exception:  # told in place of the answer, since Saxon fills standard error with warnings
                answer = {"failed": traceback.format_exc()}
            print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
