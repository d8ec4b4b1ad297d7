import { createServer, type ServerResponse } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import type { Oid } from '../../src/git/ids.js';

/** A remote whose one branch, `main`, is a commit, and whose fetch answers with whatever bytes one likes. */
export interface Offer {
  readonly commit: Oid;
  readonly pack: () => Iterable<Buffer> | AsyncIterable<Buffer>;
}

export interface PackServer {
  readonly url: string;
  offer: Offer;
  close(): Promise<void>;
}

/** A git server on 127.0.0.1 that speaks just enough of protocol v2 (gitprotocol-v2(5)) to be cloned from. */
export async function startPackServer(first: Offer): Promise<PackServer> {
  const server = createServer((request, response) => {
    response.on('error', () => undefined); // who has seen enough hangs up
    void text(request).then(async (body) => {
      response.setHeader('Content-Type', 'application/x-git-upload-pack-result');
      if (body.includes('command=ls-refs')) {
        const { commit } = running.offer;
        response.end(
          line(`${commit} HEAD symref-target:refs/heads/main\n`) + line(`${commit} refs/heads/main\n`) + '0000',
        );
      } else if (body.includes('command=fetch')) {
        await send(response, running.offer.pack());
      } else {
        response.writeHead(404).end();
      }
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const running: PackServer = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/kb.git`,
    offer: first,
    close: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
  return running;
}

async function send(response: ServerResponse, pieces: Iterable<Buffer> | AsyncIterable<Buffer>): Promise<void> {
  response.write(line('packfile\n'));
  for await (const piece of pieces) {
    for (let at = 0; at < piece.length; at += 65_515) {
      const data = piece.subarray(at, at + 65_515);
      const head = (data.length + 5).toString(16).padStart(4, '0');
      if (response.destroyed) return;
      if (!response.write(Buffer.concat([Buffer.from(`${head}\x01`), data]))) await room(response);
    }
  }
  response.end('0000');
}

/** Until more can be written, or nobody reads any more. */
function room(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const go = (): void => {
      response.off('drain', go).off('close', go);
      resolve();
    };
    response.once('drain', go).once('close', go);
  });
}

function line(content: string): string {
  return (content.length + 4).toString(16).padStart(4, '0') + content;
}
