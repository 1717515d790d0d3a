import type { Fingerprint } from './fingerprint.ts'
import type { ObjectStore, StoredObject } from './object-store.ts'

/**
 * Whether what the store holds is, byte for byte, the file: by its length and a checksum of the
 * content that the store itself made. Where it offers none that compares, the object is read back.
 */
export async function isContent(
  store: ObjectStore,
  object: StoredObject,
  content: Fingerprint,
  signal: AbortSignal,
): Promise<boolean> {
  const verdict = compareContent(object, content)
  if (verdict !== 'unknown') return verdict === 'equal'
  return (await store.readCrc32(object.key, signal)) === content.crc32
}

/**
 * What length and checksums say. An ETag that equals ours is proof; one that doesn't is none
 * to the contrary: with SSE-KMS, and in lesser stores, it is no MD5 at all.
 */
export function compareContent(
  object: Pick<StoredObject, 'bytes' | 'etag' | 'crc32'>,
  content: Pick<Fingerprint, 'bytes' | 'crc32' | 'etag'>,
): 'equal' | 'different' | 'unknown' {
  if (object.bytes !== content.bytes) return 'different'
  if (object.crc32 !== undefined) return object.crc32 === content.crc32 ? 'equal' : 'different'
  return object.etag.toLowerCase() === content.etag ? 'equal' : 'unknown'
}
