import { createWriteStream } from 'node:fs'
import { open, type FileHandle } from 'node:fs/promises'
import type { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { crc32 } from 'node:zlib'
import {
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  type S3Client,
  type HeadObjectCommandOutput,
  type PutObjectCommandInput,
} from '@aws-sdk/client-s3'
import { systemClock, type Clock } from '../daemon/clock.ts'
import { crcText, type Proof } from './fingerprint.ts'
import { base64, MultipartUpload, type WriteCondition } from './multipart-upload.ts'
import {
  isMultipart,
  type ObjectStore,
  type ObjectUpload,
  type StoredObject,
} from './object-store.ts'
import { createClient, quietMs, type S3ClientSettings } from './s3-client.ts'
import { StoreClock } from './store-clock.ts'
import { toStoreError } from './store-errors.ts'
import { sendRange, SourceFailure } from './upload-source.ts'
import type { UpstreamLimit } from './upstream-limit.ts'

/** Which bucket, who we are there, and how objects are kept. */
export interface S3Settings extends S3ClientSettings {
  bucket: string
  storageClass: string
  encryption: 'AES256' | 'aws:kms' | 'none'
  kmsKeyId?: string
}

/**
 * An S3 bucket, or one of a store that speaks S3. Nobody knows the AWS SDK but this file,
 * s3-client.ts and multipart-upload.ts.
 */
export class S3ObjectStore implements ObjectStore {
  readonly endpoint: string
  readonly bucket: string
  readonly refusesOverwrite: boolean
  readonly proof: Proof
  readonly #settings: S3Settings
  readonly #client: S3Client
  readonly #time: Clock
  readonly #clock: StoreClock
  /** Lesser stores ignore `If-None-Match`; those that refuse it are not asked again. */
  #conditional = true

  constructor(settings: S3Settings, clock: Clock = systemClock, limit?: UpstreamLimit) {
    this.#settings = settings
    this.bucket = settings.bucket
    this.endpoint = settings.endpoint ?? `https://s3.${settings.region}.amazonaws.com`
    this.refusesOverwrite = settings.endpoint === undefined
    this.proof = settings.endpoint === undefined ? 'crc32' : 'etag'
    this.#time = clock
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
    const file = await open(upload.path, 'r')
    try {
      await (isMultipart(upload.content.bytes)
        ? this.#putParts(upload, file, signal)
        : this.#putWhole(upload, file, signal))
    } catch (error) {
      signal.throwIfAborted()
      if (error instanceof SourceFailure) throw error.cause
      if (statusOf(error) !== 501 || !this.#conditional) throw toStoreError(error, 'write')
      this.#conditional = false
      await this.put(upload, signal)
    } finally {
      await file.close()
    }
  }

  async readCrc32(key: string, signal: AbortSignal): Promise<string> {
    let sum = 0
    for await (const piece of this.#read(key, signal)) sum = crc32(piece, sum)
    return crcText(sum)
  }

  /** Writes a small object, over what is there, reads it back, and says how it is kept. */
  async tryOut(key: string, signal: AbortSignal): Promise<{ encryption: string | undefined }> {
    const text = 'Written by check.sh, to see whether it can be.\n'
    const { CacheControl: _, Metadata: __, ...headers } = this.#headers({ key, metadata: {} })
    // What is archived can't be read back at once.
    const isArchived = /^(GLACIER|DEEP_ARCHIVE)$/.test(this.#settings.storageClass)
    const how = isArchived ? ({ StorageClass: 'STANDARD' } as const) : {}
    const input = { ...headers, ...how, ContentType: 'text/plain', Body: text }
    try {
      await this.#client.send(new PutObjectCommand(input), { abortSignal: signal })
    } catch (error) {
      signal.throwIfAborted()
      throw toStoreError(error, 'write')
    }
    try {
      const command = new GetObjectCommand(this.#at(key))
      const object = await this.#client.send(command, { abortSignal: signal })
      const found = await object.Body?.transformToString()
      if (found !== text) throw new Error('what was read back is not what was written')
      return { encryption: object.ServerSideEncryption }
    } catch (error) {
      signal.throwIfAborted()
      throw toStoreError(error, 'read')
    }
  }

  /** All objects whose keys begin so. */
  async list(
    prefix: string,
    signal: AbortSignal,
  ): Promise<Map<string, { bytes: number; etag: string }>> {
    const found = new Map<string, { bytes: number; etag: string }>()
    let next: string | undefined
    do {
      const from = next === undefined ? {} : { ContinuationToken: next }
      const command = new ListObjectsV2Command({ Bucket: this.bucket, Prefix: prefix, ...from })
      try {
        const page = await this.#client.send(command, { abortSignal: signal })
        for (const { Key = '', Size = 0, ETag = '' } of page.Contents ?? [])
          found.set(Key, { bytes: Size, etag: ETag.replaceAll('"', '') })
        next = page.NextContinuationToken
      } catch (error) {
        signal.throwIfAborted()
        throw toStoreError(error, 'read')
      }
    } while (next !== undefined)
    return found
  }

  /** A URL by which anybody may read an object for some seconds; asks nobody whether it exists. */
  async urlOf(key: string, seconds: number): Promise<string> {
    // No daemon needs it.
    const { getSignedUrl } = await import('@aws-sdk/s3-request-presigner')
    const command = new GetObjectCommand(this.#at(key))
    return getSignedUrl(this.#client, command, { expiresIn: seconds })
  }

  /** Writes an object into a file that isn't there yet; what the file's disk says is thrown as it is. */
  async save(key: string, path: string, signal: AbortSignal): Promise<void> {
    const body = this.#read(key, signal)
    await pipeline(body, createWriteStream(path, { flags: 'wx' }), { signal })
  }

  async *#read(key: string, signal: AbortSignal): AsyncGenerator<Buffer> {
    try {
      const command = new GetObjectCommand(this.#at(key))
      const { Body } = await this.#client.send(command, { abortSignal: signal })
      // A fault of whoever reads on does not come here.
      for await (const piece of Body as Readable) yield piece as Buffer
    } catch (error) {
      signal.throwIfAborted()
      throw toStoreError(error, 'read')
    }
  }

  async #putWhole(upload: ObjectUpload, file: FileHandle, signal: AbortSignal): Promise<void> {
    const { bytes, crc32: crc, etag: md5 } = upload.content
    const input = {
      ...this.#headers(upload),
      ContentLength: bytes,
      ...(this.proof === 'crc32' ? { ChecksumCRC32: base64(crc) } : {}),
      ...(this.proof === 'etag' && md5 !== undefined ? { ContentMD5: base64(md5) } : {}),
      ...this.#condition(upload, this.#conditional),
    }
    const send = async (Body: Readable): Promise<unknown> =>
      this.#client.send(new PutObjectCommand({ ...input, Body }), { abortSignal: signal })
    await sendRange(file, { at: 0, bytes }, send, upload.onSent)
  }

  async #putParts(upload: ObjectUpload, file: FileHandle, signal: AbortSignal): Promise<void> {
    const [client, time, isAws] = [this.#client, this.#time, this.refusesOverwrite]
    const parts = new MultipartUpload({ client, clock: time, isAws, quietMs }, upload, file)
    await parts.put(this.#headers(upload), isAws ? this.#condition(upload, true) : {}, signal)
  }

  #at(key: string): { Bucket: string; Key: string } {
    return { Bucket: this.bucket, Key: key }
  }

  #headers({ key, metadata }: Pick<ObjectUpload, 'key' | 'metadata'>): PutObjectCommandInput {
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

  #condition({ replaces }: ObjectUpload, honoured: boolean): WriteCondition {
    if (replaces !== undefined) return this.refusesOverwrite ? { IfMatch: `"${replaces}"` } : {}
    return honoured ? { IfNoneMatch: '*' } : {}
  }
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
