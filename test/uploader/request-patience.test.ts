import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, request as ask, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Readable } from 'node:stream'
import test, { type TestContext } from 'node:test'
import { giveUpWhenQuiet } from '../../src/uploader/request-patience.ts'

const quietMs = 300

interface Request {
  method: string
  path: string
  body?: unknown
}

/** What the SDK's handler does, as far as it matters here: over real HTTP. */
const plain = {
  handle: async ({ method, path, body }: Request, options?: { abortSignal?: AbortSignal }) => {
    const { abortSignal: signal } = options ?? {}
    const sent = ask(path, { method, ...(signal ? { signal } : {}) })
    if (body instanceof Readable) body.pipe(sent)
    else sent.end(body)
    const [response] = (await once(sent, 'response')) as [IncomingMessage]
    const headers = response.headers as Record<string, string>
    return { response: { headers, body: response as unknown } }
  },
}
const patient = giveUpWhenQuiet(plain, quietMs)

async function serve(
  t: TestContext,
  answer: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<string> {
  const server = createServer(answer).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

test('a request to a server that never answers is given up', async (t) => {
  const path = await serve(t, () => {})
  await assert.rejects(patient.handle({ method: 'HEAD', path }), { name: 'TimeoutError' })
})

test('so is one whose body the server does not read', async (t) => {
  const path = await serve(t, (message) => message.pause())
  const body = Buffer.alloc(64 << 20)
  await assert.rejects(patient.handle({ method: 'PUT', path, body }), { name: 'TimeoutError' })
})

test('and one whose short answer trickles', async (t) => {
  const path = await serve(t, (_, response) => {
    response.writeHead(200, { 'content-length': 1000 })
    const timer = setInterval(() => response.write('x'), 50)
    response.on('close', () => clearInterval(timer))
  })
  const { response } = await patient.handle({ method: 'GET', path })
  const reading = async (): Promise<void> => {
    for await (const _ of response.body as Readable);
  }
  await assert.rejects(reading())
})

test('one that moves is left alone, however long it takes', async (t) => {
  let bytes = 0
  const path = await serve(t, (message, response) => {
    message.on('data', (piece: Buffer) => (bytes += piece.length))
    message.on('end', () => response.end())
  })
  async function* slowly(): AsyncGenerator<Buffer> {
    for (let piece = 0; piece < 5; piece += 1) {
      await new Promise((resolve) => setTimeout(resolve, quietMs / 3))
      yield Buffer.alloc(1000)
    }
  }
  await patient.handle({ method: 'PUT', path, body: Readable.from(slowly()) })
  assert.equal(bytes, 5000)
})

test('a body that cannot be read ends its request with the reason', async (t) => {
  const path = await serve(t, () => {})
  async function* broken(): AsyncGenerator<Buffer> {
    yield Buffer.alloc(10)
    throw new Error('the disk is gone')
  }
  const asked = patient.handle({ method: 'PUT', path, body: Readable.from(broken()) })
  await assert.rejects(asked, /the disk is gone/)
})

test('an abort from outside ends the request', async (t) => {
  const stop = new AbortController()
  const path = await serve(t, () => stop.abort())
  await assert.rejects(patient.handle({ method: 'GET', path }, { abortSignal: stop.signal }), {
    name: 'AbortError',
  })
})
