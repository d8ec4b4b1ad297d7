import { fileURLToPath } from 'node:url';
import { join } from 'node:path';
import { defineConfig } from 'eslint/config';
import tseslint from 'typescript-eslint';
import { dependencyRule } from './scripts/lint/dependency-rule.mjs';

const root = fileURLToPath(new URL('.', import.meta.url));
const typed = ['src/**/*.ts', 'test/**/*.ts', 'bench/**/*.ts', '*.config.ts'];

export default defineConfig(
  { ignores: ['dist/', 'coverage/', 'node_modules/', 'bench/results/', 'test/fixtures/'] },
  { linterOptions: { reportUnusedDisableDirectives: 'error' } },
  {
    files: typed,
    extends: [tseslint.configs.strictTypeChecked],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: root } },
    rules: {
      '@typescript-eslint/consistent-type-imports': ['error', { fixStyle: 'inline-type-imports' }],
      '@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
      '@typescript-eslint/no-unused-vars': [
        'error',
        { argsIgnorePattern: '^_', varsIgnorePattern: '^_', ignoreRestSiblings: true },
      ],
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true, allowBoolean: true }],
      '@typescript-eslint/return-await': ['error', 'in-try-catch'],
      // Short arrow functions that pass a void call on are clear enough.
      '@typescript-eslint/no-confusing-void-expression': 'off',
      // An interface with one implementation, and a class that is one word of the domain, are both wanted here.
      '@typescript-eslint/no-extraneous-class': 'off',
      // Node's types say boolean where a pipe gives undefined (`stream.isTTY`); `=== true` is right there.
      '@typescript-eslint/no-unnecessary-boolean-literal-compare': 'off',
      // An async method without await keeps the promise of an interface.
      '@typescript-eslint/require-await': 'off',
      eqeqeq: 'error',
      'no-constant-binary-expression': 'error',
      'no-control-regex': 'error',
      'no-fallthrough': 'error',
      'no-self-compare': 'error',
      'no-template-curly-in-string': 'error',
      'no-unmodified-loop-condition': 'error',
      'no-var': 'error',
      'object-shorthand': 'error',
      'prefer-const': 'error',
    },
  },
  {
    files: ['src/**/*.ts'],
    plugins: { kb: { rules: { dependencies: dependencyRule } } },
    rules: {
      'kb/dependencies': ['error', { src: join(root, 'src') }],
      'no-console': 'error',
      'no-warning-comments': ['error', { terms: ['todo', 'fixme', 'xxx'] }],
    },
  },
  { files: ['src/cli/**/*.ts'], rules: { 'no-console': 'off' } },
  {
    // The library must neither print nor end the process of whoever calls it.
    files: ['src/**/*.ts'],
    ignores: ['src/cli/**', 'src/commands/**'],
    rules: {
      'no-restricted-properties': [
        'error',
        { object: 'process', property: 'stdout', message: 'only src/cli writes to a terminal' },
        { object: 'process', property: 'stderr', message: 'only src/cli writes to a terminal' },
        { object: 'process', property: 'exit', message: 'throw a KbError; only src/cli ends the process' },
        { object: 'process', property: 'exitCode', message: 'throw a KbError; only src/cli knows exit codes' },
      ],
    },
  },
  {
    files: ['test/**/*.ts', 'bench/**/*.ts'],
    rules: {
      '@typescript-eslint/no-non-null-assertion': 'off',
      '@typescript-eslint/unbound-method': 'off',
    },
  },
  {
    files: ['**/*.js', '**/*.mjs'],
    languageOptions: { sourceType: 'module', ecmaVersion: 2023 },
    rules: {
      eqeqeq: 'error',
      'no-var': 'error',
      'prefer-const': 'error',
      'no-fallthrough': 'error',
      'no-unused-vars': 'off',
    },
  },
);
