import { describe, expect, it } from 'vitest';
import type { Oid } from '../../../../src/git/ids.js';
import { Capabilities } from '../../../../src/remote/protocol/capabilities.js';
import { fetchRequestV0, fetchRequestV2 } from '../../../../src/remote/protocol/fetch-pack.js';
import type { FetchRequest } from '../../../../src/remote/remote.js';

const ONE = '1'.repeat(40) as Oid;
const TWO = '2'.repeat(40) as Oid;
const ALL = 'side-band-64k shallow thin-pack ofs-delta deepen-relative filter no-progress';

function request(over: Partial<FetchRequest>): FetchRequest {
  return { wants: [ONE], haves: [], shallow: new Set(), sink: { write: () => undefined }, ...over };
}

/** The lines of a request, without their lengths and what is the same in all. */
function lines(body: Buffer): string[] {
  return body
    .toString('latin1')
    .split('\n')
    .map((line) => line.replace(/^(0000|0001)*[0-9a-f]{4}/, ''))
    .filter((line) => line !== '' && !/^(command|agent|done|ofs-delta|no-progress)/.test(line));
}

describe('the request for objects', () => {
  it('asks for more history below where it ends', () => {
    const wanted = request({ haves: [ONE], shallow: new Set([TWO]), deepenBy: 16 });
    const asked = ['deepen 16', `have ${ONE}`, `shallow ${TWO}`];
    const v2 = lines(fetchRequestV2(wanted, 'kb'));
    expect(v2.filter((line) => asked.includes(line) || line === 'deepen-relative').sort()).toEqual(
      ['deepen-relative', ...asked].sort(),
    );
    const v0 = lines(fetchRequestV0(wanted, 'kb', new Capabilities(ALL)));
    expect(v0[0]).toMatch(/^want 1+ side-band-64k .*deepen-relative/);
    expect(v0).toContain('deepen 16');
  });

  it('asks an old server, which counts from the tips only, for all of it', () => {
    const wanted = request({ haves: [ONE], shallow: new Set([TWO]), deepenBy: 16 });
    const v0 = lines(fetchRequestV0(wanted, 'kb', new Capabilities(ALL.replace('deepen-relative ', ''))));
    expect(v0).toContain(`deepen 2147483647`);
    expect(v0[0]).not.toContain('deepen-relative');
  });

  it('says what may be left out', () => {
    const wanted = request({ filter: 'blob:none' });
    expect(lines(fetchRequestV2(wanted, 'kb'))).toEqual(['thin-pack', `want ${ONE}`, 'filter blob:none']);
    const v0 = lines(fetchRequestV0(wanted, 'kb', new Capabilities(ALL)));
    expect(v0[0]).toMatch(/ thin-pack .* filter$/);
    expect(v0).toContain('filter blob:none');
  });

  it.each([
    ['where large files are left out', { filter: 'blob:limit=1m' }, ALL],
    ['where the server cannot leave anything out', { filter: 'blob:none' }, ALL.replace(' filter', '')],
  ])('takes no deltas against files that are not here, %s', (_where, over, capabilities) => {
    const v0 = fetchRequestV0(request(over), 'kb', new Capabilities(capabilities)).toString();
    expect(v0).not.toContain('thin-pack');
    expect(v0.includes('filter')).toBe(capabilities === ALL);
  });
});
