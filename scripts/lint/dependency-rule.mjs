import { relative, resolve, dirname, sep } from 'node:path';
import { builtinModules } from 'node:module';

/**
 * Who may import whom, from docs/architecture.md. A part is a folder of src/; `index` is src/index.ts.
 * Everyone may import BASE. What is not listed is not allowed.
 */
const PARTS = {
  errors: [],
  printable: [],
  nearest: [],
  monotonic: [],
  disk: [],
  git: [],
  lock: [],
  merge: [],
  config: [],
  remote: ['git'],
  lfs: ['git', 'remote'],
  kb: ['lock', 'git', 'remote', 'lfs', 'merge', 'config'],
  watch: ['kb'],
  cli: ['kb'],
  commands: ['cli', 'kb'],
  index: ['kb', 'lock'],
};

/** Imported from everywhere; among themselves only downwards, in this order. */
const BASE = ['errors', 'printable', 'nearest', 'monotonic', 'disk'];

/** Each package that ends up in dist/ has a home: the parts that know its interface. */
const PACKAGES = {
  'isomorphic-git': ['git', 'remote'],
  'proper-lockfile': ['lock'],
  ignore: ['git'],
  yaml: ['config', 'kb', 'merge'],
  '@oclif/core': ['cli', 'commands'],
  ora: ['cli', 'commands'],
  chalk: ['cli', 'commands'],
};

/**
 * Node's modules that reach outside the process in a way that tests must be able to replace, or users to
 * audit. Types are free.
 */
const BUILTINS = {
  fs: [/^disk\//],
  'fs/promises': [],
  child_process: [
    /^remote\/local\/hooks/,
    /^remote\/credentials\/run-program/,
    /^remote\/ssh\/connection/,
    /^cli\/editor/,
    /^cli\/background/,
    /^kb\/run\/child/,
    /^kb\/signing\/program/,
  ],
  cluster: [],
  vm: [],
};

/** @type {import('eslint').Rule.RuleModule} */
export const dependencyRule = {
  meta: {
    type: 'problem',
    docs: { description: 'keeps imports in the directions of docs/architecture.md' },
    schema: [
      { type: 'object', properties: { src: { type: 'string' } }, required: ['src'], additionalProperties: false },
    ],
    messages: {
      part: '{{from}} may not import {{to}} (docs/architecture.md, "Who may import whom")',
      escape: '{{from}} may not import what is outside src/: {{to}}',
      package: 'the package {{to}} may be imported in {{allowed}} only, not in {{from}}',
      builtin: 'node:{{to}} may be imported in {{allowed}} only, not in {{from}}',
    },
  },
  create(context) {
    const src = context.options[0].src;
    const file = toSlashes(relative(src, context.filename));
    const from = partOf(file);

    function check(node, source, isTypeOnly) {
      if (source?.type !== 'Literal' || typeof source.value !== 'string') return;
      const specifier = source.value;
      if (specifier.startsWith('.')) checkPart(node, specifier);
      else if (specifier.startsWith('node:') || builtinModules.includes(specifier)) {
        if (!isTypeOnly) checkBuiltin(node, specifier.replace(/^node:/, ''));
      } else checkPackage(node, specifier);
    }

    function checkPart(node, specifier) {
      const target = toSlashes(relative(src, resolve(dirname(context.filename), specifier)));
      if (target.startsWith('..')) return context.report({ node, messageId: 'escape', data: { from, to: specifier } });
      const to = partOf(target);
      if (to === from || isBaseFor(from, to) || PARTS[from]?.includes(to)) return undefined;
      return context.report({ node, messageId: 'part', data: { from, to } });
    }

    function checkPackage(node, specifier) {
      const name = specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/');
      const allowed = PACKAGES[name] ?? [];
      if (allowed.includes(from)) return;
      const where = allowed.map((part) => `src/${part}`).join(', ') || 'no part yet: give it a home in PACKAGES;';
      context.report({ node, messageId: 'package', data: { from, to: name, allowed: where } });
    }

    function checkBuiltin(node, name) {
      const allowed = BUILTINS[name];
      if (allowed === undefined || allowed.some((pattern) => pattern.test(file))) return;
      const where = allowed.map((pattern) => `src/${pattern.source.replace(/[\\^]/g, '')}`).join(', ') || 'no part';
      context.report({ node, messageId: 'builtin', data: { from: `src/${file}`, to: name, allowed: where } });
    }

    return {
      ImportDeclaration: (node) => check(node, node.source, isTypes(node, 'importKind')),
      ExportNamedDeclaration: (node) => check(node, node.source, isTypes(node, 'exportKind')),
      ExportAllDeclaration: (node) => check(node, node.source, node.exportKind === 'type'),
      ImportExpression: (node) => check(node, node.source, false),
      TSImportType: (node) => check(node, node.source ?? node.argument?.literal, true),
      'CallExpression[callee.name="require"]': (node) => check(node, node.arguments[0], false),
    };
  },
};

function isTypes(node, kind) {
  if (node[kind] === 'type') return true;
  return node.specifiers.length > 0 && node.specifiers.every((specifier) => specifier[kind] === 'type');
}

/** `git/index/x.js` → `git`; `errors.js` → `errors`. */
function partOf(path) {
  return path.split('/')[0].replace(/\.[jt]s$/, '');
}

function isBaseFor(from, to) {
  const [lower, upper] = [BASE.indexOf(to), BASE.indexOf(from)];
  return lower !== -1 && (upper === -1 || lower < upper);
}

function toSlashes(path) {
  return path.split(sep).join('/');
}
