import { once } from 'node:events'
import {
  createServer,
  request as askServer,
  STATUS_CODES,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'

/** What becomes of a request instead of its being passed on; has to end it, or to let it hang. */
export type Fault = (exchange: Exchange) => unknown

/** Whether, and how, a request fails. */
export type FaultPlan = (exchange: Exchange) => Fault | undefined

/** A request to an S3 server, and the answer to it. */
export class Exchange {
  readonly atMs = performance.now()
  readonly method: string
  /** As S3's reference calls it: `PutObject`, `UploadPart`, … */
  readonly operation: string
  /** Without the bucket. */
  readonly key: string
  readonly query: URLSearchParams
  /** What the server answered, once it has. */
  status: number | undefined
  /** Whether it was left to a fault. */
  struck = false
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly #target: string

  constructor(request: IncomingMessage, response: ServerResponse, target: string) {
    const url = new URL(request.url ?? '', target)
    this.method = request.method ?? ''
    this.key = decodeURIComponent(url.pathname.split('/').slice(2).join('/'))
    this.query = url.searchParams
    this.operation = operationOf(this.method, this.key, this.query)
    this.request = request
    this.response = response
    this.#target = target
  }

  /** The server's answer to the request, or to one with another body. */
  async ask(body?: Buffer): Promise<IncomingMessage> {
    const { method, request } = this
    const headers = { ...request.headers }
    if (body) headers['content-length'] = String(body.length)
    const asked = askServer(this.#target + request.url, { method, headers, agent: false })
    const answered = once(asked, 'response') as Promise<[IncomingMessage]>
    asked.on('error', () => {})
    this.response.once('close', () => asked.destroy())
    if (body) asked.end(body)
    // A server may answer before it has read everything.
    else pipeline(request, asked).catch(() => {})
    const [answer] = await answered
    this.status = answer.statusCode
    return answer
  }

  /** Passes an answer on to the client. */
  async reply(answer: IncomingMessage): Promise<void> {
    this.response.writeHead(answer.statusCode ?? 0, answer.headers)
    await pipeline(answer, this.response)
  }

  /** Ends the connection as a crashed machine's would be. */
  reset(): void {
    this.request.socket.resetAndDestroy()
  }
}

/** Takes the request, and never answers. */
export const hang: Fault = () => {}

/** The connection is reset before the server hears of the request. */
export const reset: Fault = (exchange) => exchange.reset()

/** The server does what it is asked to, and the answer is lost. */
export const loseAnswer: Fault = async (exchange) => {
  await buffer(await exchange.ask())
  exchange.reset()
}

/** The server does what it is asked to, and the connection hangs instead of an answer. */
export const hangAfterwards: Fault = async (exchange) => buffer(await exchange.ask())

/** An answer such as S3's, which the server never gave: the request's body is read and dropped. */
export function refuse(status: number, code: string): Fault {
  const xml = `<?xml version="1.0" encoding="UTF-8"?><Error><Code>${code}</Code><Message>${code} (test)</Message></Error>`
  return async ({ method, request, response }) => {
    await request.resume().toArray()
    response.writeHead(status, { 'content-type': 'application/xml' })
    response.end(method === 'HEAD' ? undefined : xml)
  }
}

/** The server gets another body than the client has sent. */
export function alter(change: (body: Buffer) => Buffer): Fault {
  return async (exchange) =>
    exchange.reply(await exchange.ask(change(await buffer(exchange.request))))
}

/**
 * A byte a second is all that moves: of the request's body, of the answer, or of the answer's body
 * once its head is there.
 */
export function trickle(what: 'request' | 'answer' | 'body'): Fault {
  if (what === 'request')
    return ({ request }) => everySecond(request, () => request.read(1) !== request)
  return async (exchange) => {
    const answer = await exchange.ask()
    const head = headOf(answer)
    const bytes = Buffer.concat([Buffer.from(head), encoded(answer, await buffer(answer))])
    const { socket } = exchange.request
    let sent = what === 'body' ? head.length : 0
    socket.write(bytes.subarray(0, sent))
    everySecond(socket, () => {
      socket.write(bytes.subarray(sent, sent + 1))
      sent += 1
      return sent < bytes.length
    })
  }
}

/** An HTTP proxy between the uploader and an S3 server, on which requests fail as a test wants. */
export class FaultProxy {
  /** Asked of each request; without a fault it is passed on. */
  plan: FaultPlan = () => undefined
  /** Every request so far, in the order of their beginning. */
  readonly exchanges: Exchange[] = []
  readonly #target: string
  readonly #watchers = new Set<(exchange: Exchange) => void>()
  #server: Server
  #port = 0

  static async start(target: string): Promise<FaultProxy> {
    const proxy = new FaultProxy(target)
    await proxy.listen()
    return proxy
  }

  private constructor(target: string) {
    this.#target = target
    this.#server = createServer()
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`
  }

  get isListening(): boolean {
    return this.#server.listening
  }

  /** Accepts connections, on the same port each time. */
  async listen(): Promise<void> {
    if (this.#server.listening) return
    this.#server = createServer((request, response) => void this.#serve(request, response))
    this.#server.listen(this.#port, '127.0.0.1')
    await once(this.#server, 'listening')
    this.#port = (this.#server.address() as AddressInfo).port
  }

  /** Ends all connections, and refuses new ones until it listens again. */
  async close(): Promise<void> {
    if (!this.#server.listening) return
    const closed = once(this.#server, 'close')
    this.#server.close()
    this.#server.closeAllConnections()
    await closed
  }

  /** Resolves with the next request that matches, as it begins. */
  async next(matches: (exchange: Exchange) => boolean): Promise<Exchange> {
    return new Promise((resolve) => {
      const watch = (exchange: Exchange): void => {
        if (!matches(exchange)) return
        this.#watchers.delete(watch)
        resolve(exchange)
      }
      this.#watchers.add(watch)
    })
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const exchange = new Exchange(request, response, this.#target)
    this.exchanges.push(exchange)
    for (const watch of this.#watchers) watch(exchange)
    for (const stream of [request, response]) stream.on('error', () => {})
    const fault = this.plan(exchange)
    exchange.struck = fault !== undefined
    try {
      await (fault ? fault(exchange) : exchange.reply(await exchange.ask()))
    } catch {
      // The client has gone, or the server has.
      exchange.reset()
    }
  }
}

function operationOf(method: string, key: string, query: URLSearchParams): string {
  const inParts = query.has('uploadId')
  if (key === '') return query.has('uploads') ? 'ListMultipartUploads' : 'ListObjects'
  if (method === 'POST') return inParts ? 'CompleteMultipartUpload' : 'CreateMultipartUpload'
  if (method === 'PUT') return inParts ? 'UploadPart' : 'PutObject'
  if (method === 'DELETE') return inParts ? 'AbortMultipartUpload' : 'DeleteObject'
  return method === 'HEAD' ? 'HeadObject' : 'GetObject'
}

function headOf({ statusCode = 0, rawHeaders }: IncomingMessage): string {
  const lines = [`HTTP/1.1 ${statusCode} ${STATUS_CODES[statusCode]}`]
  for (let at = 0; at < rawHeaders.length; at += 2)
    lines.push(`${rawHeaders[at]}: ${rawHeaders[at + 1]}`)
  return `${lines.join('\r\n')}\r\n\r\n`
}

function encoded({ headers }: IncomingMessage, body: Buffer): Buffer {
  if (headers['transfer-encoding'] !== 'chunked') return body
  const [start, end] = [`${body.length.toString(16)}\r\n`, '\r\n0\r\n\r\n']
  return Buffer.concat([Buffer.from(start), body, Buffer.from(end)])
}

/** Until `step` answers false, or the stream is closed. */
function everySecond(stream: NodeJS.EventEmitter, step: () => boolean): void {
  const timer = setInterval(() => {
    if (!step()) clearInterval(timer)
  }, 1000)
  stream.once('close', () => clearInterval(timer))
}
