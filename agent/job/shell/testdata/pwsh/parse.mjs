// Reads PowerShell from its standard input, and prints what the grammar finds no sense in, a line each.
import { readFileSync } from 'node:fs';
import { Parser, Language } from 'web-tree-sitter';

const grammar = new URL('node_modules/tree-sitter-powershell/tree-sitter-powershell.wasm', import.meta.url);
await Parser.init();
const parser = new Parser();
parser.setLanguage(await Language.load(readFileSync(grammar)));
const text = readFileSync(0, 'utf8');

function visit(node) {
  if (node.isError || node.isMissing) {
    console.log(`${node.startPosition.row + 1}: ${node.isMissing ? 'missing ' + node.type : text.slice(node.startIndex, node.endIndex)}`);
    return;
  }
  for (const child of node.children) visit(child);
}
visit(parser.parse(text).rootNode);
