import type { Fingerprint, Proof } from './fingerprint.ts'

/** Why a store didn't do what it was asked. */
export type StoreProblem =
  | 'unreachable'
  | 'timeout'
  | 'denied'
  | 'wrong-credentials'
  | 'expired-credentials'
  | 'clock-skew'
  | 'no-bucket'
  | 'wrong-region'
  | 'throttled'
  | 'exists'
  | 'refused'
  | 'other'

/** What the store was asked for, as far as its failing says something about the next request. */
export type StoreOperation = 'read' | 'write'

/** A request that failed, with what to look at, and whether the next file would meet it too. */
export class StoreError extends Error {
  readonly kind: StoreProblem
  /** One sentence that names the variable or the permission to look at. */
  readonly hint: string
  readonly storeWide: boolean
  readonly operation: StoreOperation

  constructor(
    { kind, hint, storeWide }: { kind: StoreProblem; hint: string; storeWide: boolean },
    message: string,
    operation: StoreOperation,
    cause?: unknown,
  ) {
    super(message, { cause })
    this.kind = kind
    this.hint = hint
    this.storeWide = storeWide
    this.operation = operation
  }
}

/** What the store says of an object. */
export interface StoredObject {
  key: string
  bytes: number
  /** Without its quotes. */
  etag: string
  /** Of the whole content, where the store keeps one; 8 hexadecimal digits. */
  crc32?: string
  lastModifiedMs: number
  metadata: Record<string, string>
}

/** One file on its way to a key. */
export interface ObjectUpload {
  path: string
  key: string
  content: Fingerprint
  metadata: Record<string, string>
  /** The ETag of an object of our own that this upload replaces; else it replaces nothing. */
  replaces?: string
  onSent: (bytes: number) => void
}

/** An S3 bucket as the uploader needs it. Every method throws nothing but StoreError, SourceChanged, or the signal's reason. */
export interface ObjectStore {
  readonly endpoint: string
  readonly bucket: string
  /** Whether the store itself refuses to write to a key that exists. */
  readonly refusesOverwrite: boolean
  /** What proves an upload of ours there. */
  readonly proof: Proof
  /** The time by the store's own clock, in epoch ms; undefined until it has answered. */
  now(): number | undefined
  /** Reads a byte of a key, which need not exist, to learn whether the store accepts who we are. */
  check(key: string, signal: AbortSignal): Promise<void>
  /** What is stored under a key; undefined if nothing is. */
  head(key: string, signal: AbortSignal): Promise<StoredObject | undefined>
  put(upload: ObjectUpload, signal: AbortSignal): Promise<void>
  /** The CRC32 of an object's content, read back in full. */
  readCrc32(key: string, signal: AbortSignal): Promise<string>
}

/** Bytes of a file from some place on. */
export interface ByteRange {
  at: number
  bytes: number
}

const mebibyte = 1024 * 1024
const multipartFromBytes = 64 * mebibyte
/** Fewer requests cost less; one that fails is sent again. */
const smallestPartBytes = 16 * mebibyte
/** S3's own limit. */
const mostParts = 10_000

/** Whether a file of this size is uploaded in parts. */
export function isMultipart(bytes: number): boolean {
  return bytes > multipartFromBytes
}

/** How large its parts are, the last one excepted. */
export function partBytes(bytes: number): number {
  return Math.max(smallestPartBytes, Math.ceil(bytes / mostParts / mebibyte) * mebibyte)
}

/** The parts in which a file of this size is uploaded; one, if it goes as a whole. */
export function partRanges(bytes: number): ByteRange[] {
  if (!isMultipart(bytes)) return [{ at: 0, bytes }]
  const most = partBytes(bytes)
  return Array.from({ length: Math.ceil(bytes / most) }, (_, index) => ({
    at: index * most,
    bytes: Math.min(most, bytes - index * most),
  }))
}
