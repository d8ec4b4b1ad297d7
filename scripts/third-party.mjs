import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Licences whose texts allow to pass a copy on inside an MIT-licensed package, given the notice. */
const ALLOWED = new Set(['MIT', 'ISC', 'BSD-2-Clause', 'BSD-3-Clause', 'Apache-2.0', '0BSD', 'BlueOak-1.0.0', 'Zlib']);

/**
 * The notices of every package of which code went into the bundle, taken from esbuild's list of inputs, so
 * that nothing has to be remembered when a dependency changes.
 * @throws Error for a package without a licence text or under a licence that nobody has looked at yet
 */
export function thirdPartyNotices(metafiles, root) {
  const folders = new Set();
  for (const output of metafiles.flatMap(({ outputs }) => Object.values(outputs))) {
    for (const [input, { bytesInOutput }] of Object.entries(output.inputs)) {
      const folder = /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(input)?.[0];
      if (folder !== undefined && bytesInOutput > 0) folders.add(folder);
    }
  }
  const notices = [...folders].map((folder) => notice(join(root, folder)));
  const texts = [...new Set(notices)].sort();
  return `kb contains code of the packages below.\n\n${texts.join(`\n${'-'.repeat(80)}\n\n`)}`;
}

function notice(folder) {
  const { name, version, license } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  const names =
    String(license ?? '')
      .match(/[A-Za-z0-9.-]+/g)
      ?.filter((word) => word !== 'AND' && word !== 'OR') ?? [];
  if (names.length === 0 || !names.every((word) => ALLOWED.has(word))) {
    throw new Error(
      `${name} ${version}: licence ${JSON.stringify(license)} is not in the list of scripts/third-party.mjs`,
    );
  }
  const file = readdirSync(folder).find((entry) => /^(licen[cs]e|copying)/i.test(entry));
  const text =
    file !== undefined && existsSync(join(folder, file))
      ? readFileSync(join(folder, file), 'utf8').trim()
      : licenceInReadme(folder);
  return `${name} ${version} (${license})\n\n${text}\n`;
}

/** Some small packages print their licence only at the end of the README. */
function licenceInReadme(folder) {
  const file = readdirSync(folder).find((entry) => /^readme/i.test(entry));
  const text =
    file === undefined ? undefined : /^#+ *licen[cs]e[^]*$/im.exec(readFileSync(join(folder, file), 'utf8'))?.[0];
  return text?.trim() ?? 'The package holds no licence text of its own beyond the name above.';
}
