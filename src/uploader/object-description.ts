import { isoLocal } from '../daemon/local-time.ts'
import { parseSegmentName, segmentStartMs } from '../segments/segment-name.ts'
import type { Fingerprint } from './fingerprint.ts'
import { segmentDay, type LedgerLine } from './ledger.ts'
import { codecOf, type Media } from './media-probe.ts'
import type { ObjectStore, StoredObject } from './object-store.ts'

/** A file as far as its name and mtime describe it. */
interface NamedFile {
  file: string
  mtimeMs: number
  /** When its first frame was taken, where that is known better. */
  startMs?: number | undefined
}

/** The key a file has by right: `<prefix>/YYYY/MM/DD/<file>`. */
export function objectKey(prefix: string, file: string, mtimeMs: number): string {
  const folder = segmentDay(file, mtimeMs).replaceAll('-', '/')
  return [prefix, folder, file].filter(Boolean).join('/')
}

/** The metadata of an object: by `size` and `crc32` it names its content. */
export function describeObject(
  named: NamedFile,
  content: Pick<Fingerprint, 'bytes' | 'crc32'>,
  media: Media,
): Record<string, string> {
  return {
    camera: asciiSafe(cameraOf(named.file)),
    start: startOf(named, media.durationSeconds),
    'duration-seconds': String(roundedSeconds(media)),
    'video-codec': codecOf(media, 'video'),
    'audio-codec': codecOf(media, 'audio'),
    size: String(content.bytes),
    crc32: content.crc32,
  }
}

/** The line for a verified object; what the file can't tell any more, its metadata does. */
export function ledgerLine(
  named: NamedFile,
  content: Fingerprint,
  object: StoredObject,
  store: Pick<ObjectStore, 'endpoint' | 'bucket'>,
): LedgerLine {
  const { metadata } = object
  return {
    file: named.file,
    camera: cameraOf(named.file),
    start: metadata.start ?? startOf(named, 0),
    durationSeconds: Number(metadata['duration-seconds']) || 0,
    bytes: content.bytes,
    crc32: content.crc32,
    endpoint: store.endpoint,
    bucket: store.bucket,
    key: object.key,
    etag: object.etag,
    uploadedAt: new Date(object.lastModifiedMs).toISOString(),
  }
}

/** When a file's footage began, in epoch ms, as far as name and mtime tell. */
export function startMs({ file, mtimeMs }: NamedFile, durationSeconds: number): number {
  const name = parseSegmentName(file)
  const byMtimeMs = mtimeMs - durationSeconds * 1000
  return name ? segmentStartMs(name, byMtimeMs) : byMtimeMs
}

function startOf(named: NamedFile, durationSeconds: number): string {
  return isoLocal(named.startMs ?? startMs(named, durationSeconds))
}

function cameraOf(file: string): string {
  return parseSegmentName(file)?.camera ?? 'unknown'
}

function roundedSeconds({ durationSeconds }: Media): number {
  return Number(durationSeconds.toFixed(3))
}

/** HTTP headers, as which metadata travel, hold printable ASCII only. */
function asciiSafe(text: string): string {
  return text.replaceAll(/[^\x20-\x7e]|%/gu, (letter) => encodeURIComponent(letter))
}
