import { BlockList, isIP } from 'node:net';

/**
 * Whether `NO_PROXY` keeps an address away from the proxy: names (with all below them), `name:port`, IP addresses, CIDR
 * blocks, `*`; separated by commas or blanks. Source: curl(1), "NO_PROXY"; ports and `*.name` are what other programs
 * understand besides.
 */
export function bypassesProxy(list: string, url: URL): boolean {
  const host = url.hostname.replace(/^\[|\]$/g, '').replace(/\.$/, '');
  const port = url.port || (url.protocol === 'https:' ? '443' : '80');
  return list
    .toLowerCase()
    .split(/[\s,]+/)
    .filter((entry) => entry !== '')
    .some((entry) => entry === '*' || entryFits(entry, host, port));
}

function entryFits(entry: string, host: string, port: string): boolean {
  const [, bracketed, plain, wantedPort] = /^(?:\[([^\]]*)\]|([^:]*))(?::(\d+))?$/.exec(entry) ?? [];
  const name = bracketed ?? plain ?? entry; // an IPv6 address without brackets has no port
  if (wantedPort !== undefined && wantedPort !== port) return false;
  if (isIP(host) !== 0) return addressFits(name, host);
  const domain = name.replace(/^\*?\.+/, '').replace(/\.$/, '');
  return domain !== '' && (host === domain || host.endsWith(`.${domain}`));
}

function addressFits(entry: string, address: string): boolean {
  const [network = '', bits] = entry.split('/');
  const version = isIP(network);
  if (version === 0 || version !== isIP(address)) return false;
  const family = version === 4 ? 'ipv4' : 'ipv6';
  const most = version === 4 ? 32 : 128;
  const prefix = bits === undefined ? most : Number(bits);
  if (!Number.isInteger(prefix) || prefix < 0 || prefix > most || bits === '') return false;
  const block = new BlockList();
  block.addSubnet(network, prefix, family);
  return block.check(address, family);
}
