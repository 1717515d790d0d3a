import { createHash, randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { createReadStream, createWriteStream } from 'node:fs'
import { mkdtemp, readFile, rename, rm, writeFile, appendFile } from 'node:fs/promises'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { crc32 } from 'node:zlib'
import { canaryKeys } from './canaries.ts'
import { signatureFault } from './s3-signature.ts'

export interface S3ServerOptions {
  bucket?: string
  accessKeyId?: string
  secretAccessKey?: string
  /** False: neither knows `x-amz-checksum-*` nor gives out MD5s as ETags. */
  checksums?: boolean
  /** False: objects are hashed and forgotten; their content can't be had. */
  keeps?: boolean
  /** False: ignores `If-None-Match` and `If-Match` on writes. */
  conditional?: boolean
  /** False: takes what arrives, whatever signature and digests it came with. */
  careful?: boolean
  /** How many keys a page of a listing has. */
  pageKeys?: number
  /** Answers with this error code, and an HTTP status, whenever it returns one. */
  refuse?: (request: S3Request) => { code: string; status: number } | undefined
  /** Awaited before a request is read: a test's chance to do something in the middle of it. */
  onRequest?: (request: S3Request) => Promise<void> | void
}

export interface S3Request {
  method: string
  key: string
  query: URLSearchParams
  headers: IncomingMessage['headers']
}

export interface S3Object {
  path: string
  bytes: number
  etag: string
  /** Base64, as S3 writes it; of an object that was uploaded with one. */
  crc32?: string
  lastModified: Date
  /** What the object was stored with: content headers, metadata, storage class, encryption. */
  headers: Record<string, string>
}

interface Upload {
  key: string
  headers: Record<string, string>
  parts: Map<number, Body>
}

interface Body {
  path: string
  bytes: number
  md5: Buffer
  crc32: string
}

class S3Fault extends Error {
  readonly code: string
  readonly status: number

  constructor(code: string, status: number) {
    super(code)
    this.code = code
    this.status = status
  }
}

const storedHeaders =
  /^(content-(type|disposition|encoding|language)|cache-control|x-amz-(meta-.*|storage-class|server-side-encryption.*))$/
const statusOf: Record<string, number> = { NoSuchBucket: 404, NoSuchKey: 404, NoSuchUpload: 404 }
const smallestPartBytes = 5 * 1024 * 1024

/** An S3 server for tests, on loopback, that behaves as AWS documents. Objects live on disk. */
export class S3Server {
  /** All that this process has started, for whoever searches what they were given. */
  static readonly started: S3Server[] = []
  readonly objects = new Map<string, S3Object>()
  readonly uploads = new Map<string, Upload>()
  readonly requests: S3Request[] = []
  readonly options: Required<Omit<S3ServerOptions, 'refuse' | 'onRequest'>> & S3ServerOptions
  readonly #server: Server
  readonly #folder: string

  static async start(options: S3ServerOptions = {}, port = 0): Promise<S3Server> {
    const folder = await mkdtemp(join(tmpdir(), 's3-server-'))
    const server = new S3Server(options, folder)
    S3Server.started.push(server)
    server.#server.listen(port, '127.0.0.1')
    await once(server.#server, 'listening')
    return server
  }

  private constructor(options: S3ServerOptions, folder: string) {
    const standard = {
      ...canaryKeys(),
      ...{ bucket: 'footage', checksums: true, conditional: true, careful: true, keeps: true },
      pageKeys: 1000,
    }
    this.options = { ...standard, ...options }
    this.#folder = folder
    this.#server = createServer((request, response) => void this.#serve(request, response))
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`
  }

  async content(key: string): Promise<Buffer> {
    return readFile(this.objects.get(key)?.path ?? '')
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections()
    this.#server.close()
    await rm(this.#folder, { recursive: true, force: true })
  }

  async #serve(message: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(message.url ?? '', this.url)
    const [, bucket = '', ...rest] = url.pathname.split('/').map(decodeURIComponent)
    const { method = '', headers } = message
    const request = { method, key: rest.join('/'), query: url.searchParams, headers }
    this.requests.push(request)
    try {
      await this.options.onRequest?.(request)
      const refused = this.options.refuse?.(request)
      if (refused) throw new S3Fault(refused.code, refused.status)
      const fault = signatureFault(message, this.options)
      if (fault && this.options.careful) throw new S3Fault(fault, 403)
      if (bucket !== this.options.bucket) throw missing('NoSuchBucket')
      await (request.key === ''
        ? this.#list(request, response)
        : this.#act(request, message, response))
    } catch (error) {
      if (!(error instanceof S3Fault)) return void response.destroy()
      message.resume()
      const xml = `<?xml version="1.0"?><Error><Code>${error.code}</Code><Message>${error.code} (test)</Message></Error>`
      // Without a length Node.js would close the connection behind a HEAD.
      const length = Buffer.byteLength(xml)
      response.writeHead(error.status, {
        'content-type': 'application/xml',
        'content-length': length,
      })
      response.end(method === 'HEAD' ? undefined : xml)
    }
  }

  async #act(
    request: S3Request,
    message: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
    const { method, query, key } = request
    const id = query.get('uploadId')
    if (method === 'GET' || method === 'HEAD') return this.#read(request, response)
    if (method === 'POST' && query.has('uploads')) return this.#create(request, response)
    if (method === 'POST' && id) return this.#complete(request, message, response)
    if (method === 'PUT' && id) return this.#putPart(request, message, response)
    if (method === 'PUT') return this.#put(request, message, response)
    if (method !== 'DELETE') throw new S3Fault('MethodNotAllowed', 405)
    if (id && !this.uploads.delete(id)) throw missing('NoSuchUpload')
    if (!id) this.objects.delete(key)
    response.writeHead(204).end()
  }

  async #put(
    request: S3Request,
    message: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
    this.#checkCondition(request)
    const body = await this.#receive(message)
    this.#checkCondition(request)
    const sent = request.headers['x-amz-checksum-crc32'] !== undefined
    this.#store(request.key, body, body.md5.toString('hex'), { ...request, sent })
    response.writeHead(200, { etag: this.#etag(request.key) }).end()
  }

  #store(
    key: string,
    body: Omit<Body, 'md5'>,
    etag: string,
    from: { headers: S3Request['headers'] | Record<string, string>; sent: boolean },
  ): void {
    const { checksums } = this.options
    const headers = Object.entries(from.headers).filter(([name]) => storedHeaders.test(name))
    this.objects.set(key, {
      path: body.path,
      bytes: body.bytes,
      etag: checksums ? etag : randomUUID().replaceAll('-', ''),
      ...(checksums && from.sent ? { crc32: body.crc32 } : {}),
      lastModified: new Date(),
      headers: Object.fromEntries(headers.map(([name, value]) => [name, String(value)])),
    })
  }

  async #read({ method, key, headers }: S3Request, response: ServerResponse): Promise<void> {
    const object = this.objects.get(key)
    if (!object) throw missing('NoSuchKey')
    const range = /^bytes=(\d+)-(\d*)$/.exec(headers.range ?? '')
    const start = Number(range?.[1] ?? 0)
    const end = Math.min(Number(range?.[2] || Infinity), object.bytes - 1)
    if (range && start >= object.bytes) throw new S3Fault('InvalidRange', 416)
    const wantsSum = headers['x-amz-checksum-mode'] === 'ENABLED' && object.crc32 !== undefined
    response.writeHead(range ? 206 : 200, {
      ...object.headers,
      etag: `"${object.etag}"`,
      'last-modified': object.lastModified.toUTCString(),
      'content-length': end - start + 1,
      ...(range ? { 'content-range': `bytes ${start}-${end}/${object.bytes}` } : {}),
      ...(wantsSum
        ? { 'x-amz-checksum-crc32': object.crc32, 'x-amz-checksum-type': 'FULL_OBJECT' }
        : {}),
    })
    if (method === 'HEAD' || object.bytes === 0) response.end()
    else await pipeline(createReadStream(object.path, { start, end }), response)
  }

  #create({ key, headers }: S3Request, response: ServerResponse): void {
    const id = randomUUID()
    const kept = Object.entries(headers).map(([name, value]) => [name, String(value)])
    this.uploads.set(id, {
      key,
      headers: Object.fromEntries(kept) as Record<string, string>,
      parts: new Map(),
    })
    answer(
      response,
      `<InitiateMultipartUploadResult><Key>${xmlText(key)}</Key><UploadId>${id}</UploadId></InitiateMultipartUploadResult>`,
    )
  }

  async #putPart(
    { query }: S3Request,
    message: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
    const body = await this.#receive(message)
    this.#uploadOf(query).parts.set(Number(query.get('partNumber')), body)
    const sum = this.options.checksums ? { 'x-amz-checksum-crc32': body.crc32 } : {}
    response.writeHead(200, { etag: `"${body.md5.toString('hex')}"`, ...sum }).end()
  }

  async #complete(
    request: S3Request,
    message: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
    const upload = this.#uploadOf(request.query)
    const received = await this.#receive(message, true)
    const xml = await readFile(received.path, 'utf8')
    this.#checkCondition(request)
    const listed = [...xml.matchAll(/<Part>.*?<\/Part>/gs)].map(([part]) => ({
      number: Number(/<PartNumber>(\d+)</.exec(part)?.[1]),
      etag: /<ETag>(?:"|&quot;|&#34;)?([0-9a-f]+)/.exec(part)?.[1],
    }))
    const parts = listed.map(({ number, etag }, index) => {
      if (number <= (listed[index - 1]?.number ?? 0)) throw new S3Fault('InvalidPartOrder', 400)
      const part = upload.parts.get(number)
      if (!part || part.md5.toString('hex') !== etag) throw new S3Fault('InvalidPart', 400)
      if (part.bytes < smallestPartBytes && index < listed.length - 1)
        throw new S3Fault('EntityTooSmall', 400)
      return part
    })
    const joined = await this.#join(parts)
    const { 'x-amz-checksum-crc32': sum, 'x-amz-mp-object-size': size } = request.headers
    if (sum !== undefined && sum !== joined.crc32) throw new S3Fault('BadDigest', 400)
    if (size !== undefined && Number(size) !== joined.bytes)
      throw new S3Fault('InvalidRequest', 400)
    const digest = createHash('md5')
      .update(Buffer.concat(parts.map(({ md5 }) => md5)))
      .digest('hex')
    const sent = upload.headers['x-amz-checksum-type'] === 'FULL_OBJECT'
    this.#store(request.key, joined, `${digest}-${parts.length}`, { headers: upload.headers, sent })
    this.uploads.delete(request.query.get('uploadId') ?? '')
    answer(
      response,
      `<CompleteMultipartUploadResult><Key>${xmlText(request.key)}</Key><ETag>${xmlText(this.#etag(request.key))}</ETag></CompleteMultipartUploadResult>`,
    )
  }

  async #join(parts: Body[]): Promise<Omit<Body, 'md5'>> {
    const path = join(this.#folder, randomUUID())
    await writeFile(path, '')
    let sum = 0
    let bytes = 0
    for (const part of parts) {
      sum = joinedCrc32(sum, Buffer.from(part.crc32, 'base64').readUInt32BE(), part.bytes)
      bytes += part.bytes
      if (this.options.keeps) await appendFile(path, await readFile(part.path))
      await rm(part.path)
    }
    return { path, bytes, crc32: base64Of(sum) }
  }

  async #list({ query }: S3Request, response: ServerResponse): Promise<void> {
    const prefix = query.get('prefix') ?? ''
    if (query.has('uploads')) {
      const found = [...this.uploads].filter(([, { key }]) => key.startsWith(prefix))
      const items = found.map(
        ([id, { key }]) => `<Upload><Key>${xmlText(key)}</Key><UploadId>${id}</UploadId></Upload>`,
      )
      return answer(
        response,
        `<ListMultipartUploadsResult><IsTruncated>false</IsTruncated>${items.join('')}</ListMultipartUploadsResult>`,
      )
    }
    const after = query.get('continuation-token') ?? ''
    const found = [...this.objects]
      .filter(([key]) => key.startsWith(prefix) && key > after)
      .sort(([a], [b]) => (a < b ? -1 : 1))
    const page = found.slice(0, this.options.pageKeys)
    const next = page.length < found.length ? page.at(-1)?.[0] : undefined
    const token =
      next === undefined ? '' : `<NextContinuationToken>${xmlText(next)}</NextContinuationToken>`
    const items = page.map(
      ([key, { bytes, etag }]) =>
        `<Contents><Key>${xmlText(key)}</Key><Size>${bytes}</Size><ETag>"${etag}"</ETag></Contents>`,
    )
    answer(
      response,
      `<ListBucketResult><IsTruncated>${token !== ''}</IsTruncated>${token}<KeyCount>${items.length}</KeyCount>${items.join('')}</ListBucketResult>`,
    )
  }

  /** A body that is cut off, or doesn't have the sums it was sent with, leaves nothing behind. */
  async #receive(message: IncomingMessage, isXml = false): Promise<Body> {
    const { headers } = message
    const keeps = this.options.keeps || isXml
    const path = join(this.#folder, `${randomUUID()}.part`)
    const [md5, sha256] = [createHash('md5'), createHash('sha256')]
    let [bytes, sum] = [0, 0]
    try {
      await pipeline(
        message,
        async function* (source: AsyncIterable<Buffer>) {
          for await (const piece of source) {
            md5.update(piece)
            sha256.update(piece)
            sum = crc32(piece, sum)
            bytes += piece.length
            if (keeps) yield piece
          }
        },
        createWriteStream(path),
      )
      const body = {
        path: path.replace('.part', ''),
        bytes,
        md5: md5.digest(),
        crc32: base64Of(sum),
      }
      if (this.options.careful) this.#checkDigests(headers, body, sha256.digest('hex'), isXml)
      await rename(path, body.path)
      return body
    } finally {
      await rm(path, { force: true })
    }
  }

  #checkDigests(
    headers: S3Request['headers'],
    { md5, crc32: sum }: Body,
    sha256: string,
    isXml: boolean,
  ): void {
    const signed = String(headers['x-amz-content-sha256'])
    const [contentMd5, crc] = [headers['content-md5'], headers['x-amz-checksum-crc32']]
    if (signed.startsWith('STREAMING-')) throw new S3Fault('NotImplemented', 501)
    if (signed !== 'UNSIGNED-PAYLOAD' && signed !== sha256)
      throw new S3Fault('XAmzContentSHA256Mismatch', 400)
    if (contentMd5 !== undefined && contentMd5 !== md5.toString('base64'))
      throw new S3Fault('BadDigest', 400)
    if (this.options.checksums && !isXml && crc !== undefined && crc !== sum)
      throw new S3Fault('BadDigest', 400)
  }

  #checkCondition({ key, headers }: S3Request): void {
    if (!this.options.conditional) return
    const object = this.objects.get(key)
    const { 'if-none-match': none, 'if-match': match } = headers
    if (none === '*' && object) throw new S3Fault('PreconditionFailed', 412)
    if (match !== undefined && match !== `"${object?.etag}"`)
      throw new S3Fault('PreconditionFailed', 412)
  }

  #uploadOf(query: URLSearchParams): Upload {
    const upload = this.uploads.get(query.get('uploadId') ?? '')
    if (!upload) throw missing('NoSuchUpload')
    return upload
  }

  #etag(key: string): string {
    return `"${this.objects.get(key)?.etag}"`
  }
}

function missing(code: string): S3Fault {
  return new S3Fault(code, statusOf[code] ?? 400)
}

function answer(response: ServerResponse, xml: string): void {
  response.writeHead(200, { 'content-type': 'application/xml' }).end(`<?xml version="1.0"?>${xml}`)
}

function xmlText(text: string): string {
  return text.replaceAll(/[<>&"\n]/g, (letter) => `&#${letter.codePointAt(0)};`)
}

/** The CRC32 of two contents, one behind the other, from their own and the length of the second. */
function joinedCrc32(first: number, second: number, secondBytes: number): number {
  let shifted = first
  let power = 0x00800000 // x^8: a byte's shift, the highest power in the lowest bit
  for (let bytes = secondBytes; bytes > 0; bytes = Math.floor(bytes / 2)) {
    if (bytes % 2 === 1) shifted = crcProduct(power, shifted)
    power = crcProduct(power, power)
  }
  return (shifted ^ second) >>> 0
}

/** The product of two polynomials modulo that of CRC32, in its reflected form. */
function crcProduct(a: number, b: number): number {
  let [product, factor] = [0, b]
  for (let bit = 0x80000000; bit !== 0; bit >>>= 1) {
    if ((a & bit) !== 0) product ^= factor
    factor = (factor & 1) === 1 ? (factor >>> 1) ^ 0xedb88320 : factor >>> 1
  }
  return product >>> 0
}

function base64Of(sum: number): string {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(sum)
  return bytes.toString('base64')
}
