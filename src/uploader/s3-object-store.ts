import { open } from 'node:fs/promises'
import { Readable } from 'node:stream'
import { crc32 } from 'node:zlib'
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  PutObjectCommand,
  S3Client,
  type HeadObjectCommandOutput,
  type PutObjectCommandInput,
} from '@aws-sdk/client-s3'
import { Upload } from '@aws-sdk/lib-storage'
import { systemClock, type Clock } from '../daemon/clock.ts'
import { crcText, type Proof } from './fingerprint.ts'
import {
  isMultipart,
  partBytes,
  type ObjectStore,
  type ObjectUpload,
  type StoredObject,
} from './object-store.ts'
import { giveUpWhenQuiet } from './request-patience.ts'
import { StoreClock } from './store-clock.ts'
import { toStoreError } from './store-errors.ts'
import { UploadSource } from './upload-source.ts'
import type { UpstreamLimit } from './upstream-limit.ts'

/** Which bucket, who we are there, and how objects are kept. */
export interface S3Settings {
  bucket: string
  region: string
  /** An S3-compatible store; without it, AWS. */
  endpoint?: string
  /** Without them, the SDK's own chain. */
  credentials?: { accessKeyId: string; secretAccessKey: string; sessionToken?: string }
  storageClass: string
  encryption: 'AES256' | 'aws:kms' | 'none'
  kmsKeyId?: string
}

/** A healthy store moves sooner, and one that is back must be noticed within 35 s. */
const quietMs = 15_000
/** Some stores copy all parts before they answer the request that joins them. */
const slowestJoinBytesPerSecond = 32 * 1024 * 1024
const longestJoinMs = 120_000
/** What an aborted multipart upload is given to be cleaned up; a stopping daemon has less. */
const abortMs = 10_000
const abortWhenStoppingMs = 900

/** An S3 bucket, or one of a store that speaks S3. The only file that knows the AWS SDK. */
export class S3ObjectStore implements ObjectStore {
  readonly endpoint: string
  readonly bucket: string
  readonly refusesOverwrite: boolean
  readonly proof: Proof
  readonly #settings: S3Settings
  readonly #client: S3Client
  readonly #clock: StoreClock
  /** Lesser stores ignore `If-None-Match`; those that refuse it are not asked again. */
  #conditional = true

  constructor(settings: S3Settings, clock: Clock = systemClock, limit?: UpstreamLimit) {
    this.#settings = settings
    this.bucket = settings.bucket
    this.endpoint = settings.endpoint ?? `https://s3.${settings.region}.amazonaws.com`
    this.refusesOverwrite = settings.endpoint === undefined
    this.proof = settings.endpoint === undefined ? 'crc32' : 'etag'
    this.#clock = new StoreClock(clock)
    this.#client = createClient(settings, this.#clock, limit)
  }

  now(): number | undefined {
    return this.#clock.now()
  }

  async check(key: string, signal: AbortSignal): Promise<void> {
    try {
      const command = new GetObjectCommand({ ...this.#at(key), Range: 'bytes=0-0' })
      const { Body } = await this.#client.send(command, { abortSignal: signal })
      for await (const _ of Body as Readable);
    } catch (error) {
      signal.throwIfAborted()
      if (!/^(NoSuchKey|InvalidRange)$/.test((error as Error).name))
        throw toStoreError(error, 'read')
    }
  }

  async head(key: string, signal: AbortSignal): Promise<StoredObject | undefined> {
    try {
      return await this.#head(key, signal)
    } catch (error) {
      signal.throwIfAborted()
      const status = statusOf(error)
      if (status === undefined || status >= 500) throw toStoreError(error, 'read')
    }
    // The answer to a HEAD has no body that could say why it was refused; that to a GET has.
    await this.check(key, signal)
    // What it was refused for is over: a clock that was set, for example.
    return this.#head(key, signal).catch((error: unknown) => {
      signal.throwIfAborted()
      throw toStoreError(error, 'read')
    })
  }

  async #head(key: string, signal: AbortSignal): Promise<StoredObject | undefined> {
    const command = new HeadObjectCommand({ ...this.#at(key), ChecksumMode: 'ENABLED' })
    try {
      return storedObject(key, await this.#client.send(command, { abortSignal: signal }))
    } catch (error) {
      if (statusOf(error) === 404) return undefined
      throw error
    }
  }

  async put(upload: ObjectUpload, signal: AbortSignal): Promise<void> {
    const { bytes } = upload.content
    const file = await open(upload.path, 'r')
    const source = new UploadSource(file, upload)
    const body = Readable.from(source.pieces(), { objectMode: false })
    // Without a listener a failing read would end the process.
    body.on('error', () => {})
    try {
      await (isMultipart(bytes)
        ? this.#putParts(upload, body, signal)
        : this.#putWhole(upload, body, signal))
      source.sent()
    } catch (error) {
      signal.throwIfAborted()
      if (source.failure) throw source.failure
      if (statusOf(error) !== 501 || !this.#conditional) throw toStoreError(error, 'write')
      this.#conditional = false
      await this.put(upload, signal)
    } finally {
      body.destroy()
      await file.close()
    }
  }

  async readCrc32(key: string, signal: AbortSignal): Promise<string> {
    try {
      const command = new GetObjectCommand(this.#at(key))
      const { Body } = await this.#client.send(command, { abortSignal: signal })
      let sum = 0
      for await (const piece of Body as Readable) sum = crc32(piece as Buffer, sum)
      return crcText(sum)
    } catch (error) {
      signal.throwIfAborted()
      throw toStoreError(error, 'read')
    }
  }

  async #putWhole(upload: ObjectUpload, body: Readable, signal: AbortSignal): Promise<void> {
    const { bytes, crc32: crc, etag: md5 } = upload.content
    const command = new PutObjectCommand({
      ...this.#headers(upload),
      Body: body,
      ContentLength: bytes,
      ...(this.proof === 'crc32' ? { ChecksumCRC32: base64(crc) } : {}),
      ...(this.proof === 'etag' && md5 !== undefined ? { ContentMD5: base64(md5) } : {}),
      ...this.#condition(upload, this.#conditional),
    })
    await this.#client.send(command, { abortSignal: signal })
  }

  async #putParts(upload: ObjectUpload, body: Readable, signal: AbortSignal): Promise<void> {
    const { key, content } = upload
    await this.#abortLeftovers(key, signal)
    const parts = new Upload({
      client: this.#partsClient(upload, signal),
      params: { ...this.#headers(upload), Body: body, ContentLength: content.bytes },
      partSize: partBytes(content.bytes),
      queueSize: 2,
    })
    parts.on('httpUploadProgress', ({ loaded }) => upload.onSent(loaded ?? 0))
    await parts.done()
    // Of an upload that was begun twice, since the first answer was lost, one is left.
    await this.#abortLeftovers(key, signal)
  }

  /**
   * What lib-storage sends its requests through: an abort ends those in flight, so that the
   * multipart upload can be aborted behind them, a part that failed is the last that is sent, and
   * on AWS the whole gets a checksum.
   */
  #partsClient(upload: ObjectUpload, signal: AbortSignal): S3Client {
    const isAws = this.refusesOverwrite
    const { content } = upload
    const whole = isAws ? ({ ChecksumType: 'FULL_OBJECT' } as const) : {}
    let failed: Error | undefined
    const send = async (command: Parameters<S3Client['send']>[0]): Promise<unknown> => {
      if (command instanceof AbortMultipartUploadCommand) return this.#abort(command, signal)
      if (command instanceof CreateMultipartUploadCommand) {
        Object.assign(command.input, whole)
        // Not ended by an abort: nobody could clean up what has no id.
        return this.#client.send(command)
      }
      if (!(command instanceof CompleteMultipartUploadCommand)) {
        if (failed) throw failed
        try {
          return await this.#client.send(command, { abortSignal: signal })
        } catch (error) {
          failed = error as Error
          throw error
        }
      }
      const sum = {
        ChecksumCRC32: base64(content.crc32),
        MpuObjectSize: content.bytes,
      }
      const condition = this.#condition(upload, isAws)
      Object.assign(command.input, isAws ? { ...whole, ...sum, ...condition } : {})
      return this.#join(command, content.bytes, signal)
    }
    return { config: this.#client.config, send } as unknown as S3Client
  }

  /** Parts that are gone were joined by a request whose answer was lost; a look will tell. */
  async #join(
    command: CompleteMultipartUploadCommand,
    bytes: number,
    signal: AbortSignal,
  ): Promise<unknown> {
    const copyingMs = (bytes / slowestJoinBytesPerSecond) * 1000
    const requestTimeout = Math.min(quietMs + copyingMs, longestJoinMs)
    try {
      return await this.#client.send(command, { abortSignal: signal, requestTimeout })
    } catch (error) {
      if ((error as Error).name !== 'NoSuchUpload') throw error
      return {}
    }
  }

  /** Its own failing must not hide why the upload failed; the next upload to the key cleans up. */
  async #abort(command: AbortMultipartUploadCommand, signal: AbortSignal): Promise<void> {
    const abortSignal = AbortSignal.timeout(signal.aborted ? abortWhenStoppingMs : abortMs)
    await this.#client.send(command, { abortSignal }).catch(() => {})
  }

  /** Aborts what other attempts at this very upload have left behind; where listing is allowed. */
  async #abortLeftovers(key: string, signal: AbortSignal): Promise<void> {
    try {
      const command = new ListMultipartUploadsCommand({ Bucket: this.bucket, Prefix: key })
      const { Uploads = [] } = await this.#client.send(command, { abortSignal: signal })
      for (const { Key, UploadId } of Uploads)
        if (Key === key)
          await this.#abort(new AbortMultipartUploadCommand({ ...this.#at(key), UploadId }), signal)
    } catch {
      signal.throwIfAborted()
    }
  }

  #at(key: string): { Bucket: string; Key: string } {
    return { Bucket: this.bucket, Key: key }
  }

  #headers({ key, metadata }: ObjectUpload): PutObjectCommandInput {
    const { storageClass, encryption, kmsKeyId } = this.#settings
    return {
      ...this.#at(key),
      ContentType: 'video/mp4',
      ContentDisposition: 'inline',
      CacheControl: 'max-age=31536000',
      StorageClass: storageClass as NonNullable<PutObjectCommandInput['StorageClass']>,
      ...(encryption === 'none' ? {} : { ServerSideEncryption: encryption }),
      ...(kmsKeyId ? { SSEKMSKeyId: kmsKeyId } : {}),
      Metadata: metadata,
    }
  }

  #condition(
    { replaces }: ObjectUpload,
    honoured: boolean,
  ): { IfMatch?: string; IfNoneMatch?: string } {
    if (replaces !== undefined) return this.refusesOverwrite ? { IfMatch: `"${replaces}"` } : {}
    return honoured ? { IfNoneMatch: '*' } : {}
  }
}

function createClient(
  { endpoint, region, credentials }: S3Settings,
  clock: StoreClock,
  limit: UpstreamLimit | undefined,
): S3Client {
  const client = new S3Client({
    region,
    expectContinueHeader: false,
    // What is quiet is ended by giveUpWhenQuiet; this is for what it can't see.
    requestHandler: { connectionTimeout: 10_000, socketTimeout: longestJoinMs + 60_000 },
    // The SDK would warn on the console of what is an error to us anyway.
    logger: { debug() {}, info() {}, warn() {}, error() {} },
    ...(credentials ? { credentials } : {}),
    ...(endpoint ? { endpoint, forcePathStyle: true } : {}),
    ...(endpoint
      ? { requestChecksumCalculation: 'WHEN_REQUIRED', responseChecksumValidation: 'WHEN_REQUIRED' }
      : {}),
  })
  const { config } = client
  config.requestHandler = giveUpWhenQuiet(
    config.requestHandler,
    quietMs,
    limit,
  ) as typeof config.requestHandler
  goByStoreClock(client, clock)
  signNoContent(client)
  return client
}

/** A part is proven with the whole; a hash of it in the signature would cost a third as much again. */
function signNoContent({ middlewareStack }: S3Client): void {
  middlewareStack.add(
    (next, { commandName }) =>
      async (args) => {
        if (commandName === 'UploadPartCommand') {
          const { headers } = args.request as { headers: Record<string, string> }
          headers['x-amz-content-sha256'] = 'UNSIGNED-PAYLOAD'
        }
        return next(args)
      },
    { step: 'build' },
  )
}

/** The store refuses what is signed for another time than its own, and tells its own with each answer. */
function goByStoreClock({ middlewareStack, config }: S3Client, clock: StoreClock): void {
  middlewareStack.add(
    (next) => async (request) => {
      config.systemClockOffset = clock.offsetMs
      return next(request)
    },
    { step: 'build' },
  )
  middlewareStack.add(
    (next) => async (request) => {
      const answer = await next(request)
      clock.told((answer.response as { headers: Record<string, string> }).headers)
      return answer
    },
    // Innermost: an answer that is an error tells the time too.
    { step: 'deserialize', priority: 'low' },
  )
}

function storedObject(key: string, head: HeadObjectCommandOutput): StoredObject {
  const { ChecksumCRC32: sum, ChecksumType: type } = head
  // A composite checksum, of the parts' checksums, says nothing about the whole.
  const isWhole = sum !== undefined && type !== 'COMPOSITE' && !sum.includes('-')
  return {
    key,
    bytes: head.ContentLength ?? 0,
    etag: (head.ETag ?? '').replaceAll('"', ''),
    ...(isWhole ? { crc32: Buffer.from(sum, 'base64').toString('hex') } : {}),
    lastModifiedMs: head.LastModified?.getTime() ?? Date.now(),
    metadata: head.Metadata ?? {},
  }
}

function statusOf(error: unknown): number | undefined {
  return (error as { $metadata?: { httpStatusCode?: number } }).$metadata?.httpStatusCode
}

function base64(hexadecimal: string): string {
  return Buffer.from(hexadecimal, 'hex').toString('base64')
}
