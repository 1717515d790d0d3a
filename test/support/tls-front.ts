import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { connect, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { createServer, type TLSSocket } from 'node:tls'
import { temporaryFolder } from './temporary-folder.ts'

/** A port on loopback that speaks TLS, with a certificate that nobody knows, and passes all on to another. */
export async function startTlsFront(t: TestContext, behind: number): Promise<number> {
  const folder = await temporaryFolder(t)
  const [key, cert] = [join(folder, 'key'), join(folder, 'cert')]
  const self = ['-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '1', '-subj', '/CN=camera']
  execFileSync('openssl', ['req', ...self, '-keyout', key, '-out', cert], { stdio: 'ignore' })
  const sockets = new Set<TLSSocket>()
  const server = createServer({ key: readFileSync(key), cert: readFileSync(cert) }, (socket) => {
    const camera = connect(behind, '127.0.0.1')
    sockets.add(socket)
    for (const [one, other] of [
      [socket, camera],
      [camera, socket],
    ] as const) {
      one.pipe(other)
      one.on('error', () => {})
      one.on('close', () => other.destroy())
    }
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return (server.address() as AddressInfo).port
}
