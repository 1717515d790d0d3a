import { dirname } from 'node:path'
import type { LedgerLine } from '../uploader/ledger.ts'
import { StoreError } from '../uploader/object-store.ts'
import type { StoredFootage } from './stored-footage.ts'

/** That a bucket doesn't hold what the ledger says, or doesn't tell. */
export interface Difference {
  line: LedgerLine
  text: string
}

/** What a bucket says of an object without giving it away. */
interface Listed {
  bytes: number
  etag: string
}

const headsAtOnce = 8

/**
 * Compares lines of the ledger with what the buckets list, folder by folder; where listing is
 * denied each object is asked for.
 */
export async function verifyStored(
  lines: LedgerLine[],
  stored: StoredFootage,
  signal: AbortSignal,
): Promise<Difference[]> {
  // A file may have been uploaded twice to one key: only what came last can be there.
  const newest = new Map(lines.map((line) => [`${folderOf(line)}/${line.key}`, line]))
  const folders = new Map<string, LedgerLine[]>()
  for (const line of newest.values()) {
    const folder = folders.get(folderOf(line))
    if (folder) folder.push(line)
    else folders.set(folderOf(line), [line])
  }
  const differences: Difference[] = []
  for (const inFolder of folders.values())
    differences.push(...(await verifyFolder(inFolder, stored, signal)))
  return differences
}

function folderOf({ endpoint, bucket, key }: LedgerLine): string {
  return `${endpoint} ${bucket} ${dirname(key)}`
}

async function verifyFolder(
  lines: LedgerLine[],
  stored: StoredFootage,
  signal: AbortSignal,
): Promise<Difference[]> {
  const [first] = lines
  if (!first) return []
  try {
    const there = await lookInto(first, lines, stored, signal)
    return lines.flatMap((line) => {
      const text = difference(line, there.get(line.key))
      return text === undefined ? [] : [{ line, text }]
    })
  } catch (error) {
    if (!(error instanceof StoreError)) throw error
    const others = lines.length > 1 ? ` (and ${lines.length - 1} more in its folder)` : ''
    return [{ line: first, text: `cannot be looked at${others}: ${error.message} ${error.hint}` }]
  }
}

function difference(line: LedgerLine, listed: Listed | undefined): string | undefined {
  if (!listed) return 'is missing'
  if (listed.bytes !== line.bytes) return `has ${listed.bytes} bytes instead of ${line.bytes}`
  return listed.etag === line.etag ? undefined : 'was replaced by something else of that size'
}

async function lookInto(
  first: LedgerLine,
  lines: LedgerLine[],
  stored: StoredFootage,
  signal: AbortSignal,
): Promise<Map<string, Listed>> {
  const store = stored.storeOf(first)
  try {
    const folder = dirname(first.key)
    return await store.list(folder === '.' ? '' : `${folder}/`, signal)
  } catch (error) {
    // Lesser stores call it a wrong signature.
    const isDenied = error instanceof StoreError && /^(denied|wrong-credentials)$/.test(error.kind)
    if (!isDenied) throw error
  }
  const found = new Map<string, Listed>()
  for (let at = 0; at < lines.length; at += headsAtOnce)
    await Promise.all(
      lines.slice(at, at + headsAtOnce).map(async ({ key }) => {
        const object = await store.head(key, signal)
        if (object) found.set(key, { bytes: object.bytes, etag: object.etag })
      }),
    )
  return found
}
