import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import S3rver from '@20minutes/s3rver'
import { DUMMY_ACCOUNT } from '@20minutes/s3rver/lib/models/account.js'

export interface S3ServerOptions {
  /** An object lies in `<folder>/<bucket>/<key>._S3rver_object`. */
  folder: string
  bucket: string
  accessKeyId: string
  secretAccessKey: string
  /** A free one unless given. */
  port?: number
}

export interface S3Server {
  port: number
  endpoint: string
  /** Ends all connections and frees the port. */
  close(): Promise<void>
}

const address = '127.0.0.1'

/**
 * Starts an S3 server on loopback. Whoever signs must have the secret, and whoever writes must
 * sign; reading is free, so that a browser can play an object by its address.
 */
export async function startS3Server(options: S3ServerOptions): Promise<S3Server> {
  const { folder: directory, bucket, accessKeyId, secretAccessKey } = options
  DUMMY_ACCOUNT.revokeAccessKey('S3RVER')
  DUMMY_ACCOUNT.createKeyPair(accessKeyId, secretAccessKey)
  const configureBuckets = [{ name: bucket }]
  const store = new S3rver({ directory, silent: true, vhostBuckets: false, configureBuckets })
  // Its logger, which is silent, would swallow our own uncaught exceptions.
  store.logger.exceptions.unhandle()
  await store.configureBuckets()
  const server = createServer(signedWrites(store.callback()))
  server.listen(options.port ?? 0, address)
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    port,
    endpoint: `http://${address}:${port}`,
    async close() {
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
      store.logger.close()
    },
  }
}

function signedWrites(answer: RequestListener): RequestListener {
  return (request, response) => {
    const reads = request.method === 'GET' || request.method === 'HEAD'
    if (reads || request.headers.authorization !== undefined) answer(request, response)
    else response.writeHead(403, { connection: 'close' }).end()
  }
}
