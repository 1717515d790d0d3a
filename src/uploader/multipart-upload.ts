import type { FileHandle } from 'node:fs/promises'
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  ListMultipartUploadsCommand,
  UploadPartCommand,
  type PutObjectCommandInput,
  type S3Client,
  type UploadPartCommandInput,
} from '@aws-sdk/client-s3'
import { Upload } from '@aws-sdk/lib-storage'
import type { Clock } from '../daemon/clock.ts'
import { partBytes, type ObjectUpload, type StoreProblem } from './object-store.ts'
import { toStoreError } from './store-errors.ts'
import { sendRange, SourceFailure } from './upload-source.ts'

export interface MultipartDeps {
  client: S3Client
  clock: Clock
  /** AWS itself: it keeps a checksum of the whole, and refuses to overwrite. */
  isAws: boolean
  /** How long any request may be quiet. */
  quietMs: number
}

/** What must be so for an object to be written. */
export interface WriteCondition {
  IfMatch?: string
  IfNoneMatch?: string
}

/** Some stores copy all parts before they answer the request that joins them. */
const slowestJoinBytesPerSecond = 32 * 1024 * 1024
const longestJoinMs = 120_000
/** What an aborted multipart upload is given to be cleaned up; a stopping daemon has less. */
const abortMs = 10_000
const abortWhenStoppingMs = 900
/** How often a part is sent when what ends it may be over soon. */
const triesOfPart = 3
const passing: StoreProblem[] = ['unreachable', 'timeout', 'throttled', 'other']
const inFlight = 2

/** The upload of one large file in parts, which are joined when all are there. */
export class MultipartUpload {
  readonly #deps: MultipartDeps
  readonly #upload: ObjectUpload
  readonly #file: FileHandle
  #failed: Error | undefined

  constructor(deps: MultipartDeps, upload: ObjectUpload, file: FileHandle) {
    this.#deps = deps
    this.#upload = upload
    this.#file = file
  }

  /** `input` is what a PutObject would be sent with, without the body; `condition` is the whole's. */
  async put(
    input: PutObjectCommandInput,
    condition: WriteCondition,
    signal: AbortSignal,
  ): Promise<void> {
    const { content, onSent } = this.#upload
    await this.#abortLeftovers(input, signal)
    const client = { config: this.#deps.client.config, send: this.#sender(condition, signal) }
    const parts = new Upload({
      client: client as unknown as S3Client,
      params: { ...input, Body: new FilePart(0, content.bytes), ContentLength: content.bytes },
      partSize: partBytes(content.bytes),
      queueSize: inFlight,
    })
    parts.on('httpUploadProgress', ({ loaded }) => onSent(loaded ?? 0))
    await parts.done()
    // Of an upload that was begun twice, since the first answer was lost, one is left.
    await this.#abortLeftovers(input, signal)
  }

  /**
   * What lib-storage sends its requests through: parts are read while they are sent, an abort ends
   * those in flight, so that the multipart upload can be aborted behind them, a part that failed is
   * the last that is sent, and on AWS the whole gets a checksum.
   */
  #sender(condition: WriteCondition, signal: AbortSignal) {
    const { client, isAws } = this.#deps
    const whole = isAws ? ({ ChecksumType: 'FULL_OBJECT' } as const) : {}
    return async (command: Parameters<S3Client['send']>[0]): Promise<unknown> => {
      if (command instanceof AbortMultipartUploadCommand) return this.#abort(command, signal)
      if (command instanceof UploadPartCommand) return this.#putPart(command.input, signal)
      if (command instanceof CompleteMultipartUploadCommand) {
        const { crc32, bytes: MpuObjectSize } = this.#upload.content
        const sum = { ChecksumCRC32: base64(crc32), MpuObjectSize }
        if (isAws) Object.assign(command.input, { ...whole, ...sum, ...condition })
        return this.#join(command, signal)
      }
      Object.assign(command.input, whole)
      // Not ended by an abort: nobody could clean up what has no id.
      return client.send(command)
    }
  }

  async #putPart(input: UploadPartCommandInput, signal: AbortSignal): Promise<unknown> {
    // The SDK sends nothing again that it can read only once.
    for (let tries = 1; ; tries += 1) {
      if (this.#failed) throw this.#failed
      try {
        return await this.#sendPart(input, signal)
      } catch (error) {
        const { kind } = toStoreError(error, 'write')
        const isPassing = passing.includes(kind) && !(error instanceof SourceFailure)
        if (signal.aborted || !isPassing || tries === triesOfPart) this.#failed = error as Error
        else await this.#deps.clock.sleep(Math.random() * 100 * 2 ** tries, signal)
      }
    }
  }

  async #sendPart(input: UploadPartCommandInput, signal: AbortSignal): Promise<unknown> {
    const { byteOffset: at, byteLength: bytes } = input.Body as Uint8Array
    const sum = this.#upload.content.partCrc32s?.[(input.PartNumber ?? 0) - 1]
    const checksum = sum === undefined ? {} : { ChecksumCRC32: base64(sum) }
    return sendRange(this.#file, { at, bytes }, async (Body) => {
      const command = new UploadPartCommand({ ...input, ...checksum, Body, ContentLength: bytes })
      return this.#deps.client.send(command, { abortSignal: signal })
    })
  }

  /** Parts that are gone were joined by a request whose answer was lost; a look will tell. */
  async #join(command: CompleteMultipartUploadCommand, signal: AbortSignal): Promise<unknown> {
    const { client, quietMs } = this.#deps
    const copyingMs = (this.#upload.content.bytes / slowestJoinBytesPerSecond) * 1000
    const requestTimeout = Math.min(quietMs + copyingMs, longestJoinMs)
    try {
      return await client.send(command, { abortSignal: signal, requestTimeout })
    } catch (error) {
      if ((error as Error).name !== 'NoSuchUpload') throw error
      return {}
    }
  }

  /** Its own failing must not hide why the upload failed; the next upload to the key cleans up. */
  async #abort(command: AbortMultipartUploadCommand, signal: AbortSignal): Promise<void> {
    const abortSignal = AbortSignal.timeout(signal.aborted ? abortWhenStoppingMs : abortMs)
    await this.#deps.client.send(command, { abortSignal }).catch(() => {})
  }

  /** Aborts what other attempts at this very upload have left behind; where listing is allowed. */
  async #abortLeftovers(
    { Bucket, Key: key }: PutObjectCommandInput,
    signal: AbortSignal,
  ): Promise<void> {
    try {
      const command = new ListMultipartUploadsCommand({ Bucket, Prefix: key })
      const { Uploads = [] } = await this.#deps.client.send(command, { abortSignal: signal })
      for (const { Key, UploadId } of Uploads)
        if (Key === key)
          await this.#abort(new AbortMultipartUploadCommand({ Bucket, Key, UploadId }), signal)
    } catch {
      signal.throwIfAborted()
    }
  }
}

/**
 * A part of a file that isn't read yet. Of a Uint8Array lib-storage uses `byteLength` and
 * `subarray` alone to divide it; a stream it would hold in memory, each part in new buffers.
 */
class FilePart extends Uint8Array {
  readonly #at: number
  readonly #bytes: number

  constructor(at: number, bytes: number) {
    super(0)
    this.#at = at
    this.#bytes = bytes
  }

  override get byteOffset(): number {
    return this.#at
  }

  override get byteLength(): number {
    return this.#bytes
  }

  override subarray(from = 0, to = this.#bytes): FilePart {
    return new FilePart(this.#at + from, Math.min(to, this.#bytes) - from)
  }
}

/** A checksum as the requests hold it. */
export function base64(hexadecimal: string): string {
  return Buffer.from(hexadecimal, 'hex').toString('base64')
}
