import { dirname } from 'node:path'
import type { LedgerLine } from '../uploader/ledger.ts'
import { StoreError } from '../uploader/object-store.ts'
import { failureText } from './failure-text.ts'
import type { StoredFootage } from './stored-footage.ts'

/** That a bucket doesn't hold what the ledger says. */
export interface Difference {
  line: LedgerLine
  text: string
}

/** Files of which a bucket doesn't tell. */
export interface Unseen {
  files: number
  why: string
}

export interface Verified {
  /** How many files were compared. */
  files: number
  differences: Difference[]
  unseen: Unseen[]
}

/** What a bucket says of an object without giving it away. */
interface Listed {
  bytes: number
  etag: string
}

const headsAtOnce = 8

/**
 * Compares lines of the ledger with what the buckets list, folder by folder; where listing is
 * denied each object is asked for. A store that fails as a whole is not asked on.
 */
export async function verifyStored(
  lines: LedgerLine[],
  stored: StoredFootage,
  signal: AbortSignal,
): Promise<Verified> {
  // A file may have been uploaded twice to one key: only what came last can be there.
  const newest = [...new Map(lines.map((line) => [`${storeOf(line)} ${line.key}`, line])).values()]
  const verified: Verified = { files: 0, differences: [], unseen: [] }
  for (const inStore of groups(newest, storeOf)) {
    let failed: StoreError | undefined
    for (const inFolder of groups(inStore, ({ key }) => dirname(key))) {
      const end = failed ?? (await verifyFolder(inFolder, stored, signal))
      if (end instanceof StoreError) {
        noteUnseen(verified.unseen, inFolder, end)
        // Of other folders a key may allow more.
        if (end.storeWide && end.kind !== 'denied') failed = end
      } else {
        verified.files += inFolder.length
        verified.differences.push(...end)
      }
    }
  }
  return verified
}

function storeOf({ endpoint, bucket }: LedgerLine): string {
  return `${endpoint} ${bucket}`
}

function groups(lines: LedgerLine[], nameOf: (line: LedgerLine) => string): LedgerLine[][] {
  const byName = new Map<string, LedgerLine[]>()
  for (const line of lines) {
    const group = byName.get(nameOf(line))
    if (group) group.push(line)
    else byName.set(nameOf(line), [line])
  }
  return [...byName.values()]
}

function noteUnseen(unseen: Unseen[], lines: LedgerLine[], error: StoreError): void {
  const why = `${lines[0]?.bucket}: ${failureText(error)}`
  const known = unseen.find((it) => it.why === why)
  if (known) known.files += lines.length
  else unseen.push({ files: lines.length, why })
}

async function verifyFolder(
  lines: LedgerLine[],
  stored: StoredFootage,
  signal: AbortSignal,
): Promise<Difference[] | StoreError> {
  try {
    const there = await lookInto(lines, stored, signal)
    return lines.flatMap((line) => {
      const text = difference(line, there.get(line.key))
      return text === undefined ? [] : [{ line, text }]
    })
  } catch (error) {
    if (!(error instanceof StoreError)) throw error
    return error
  }
}

function difference(line: LedgerLine, listed: Listed | undefined): string | undefined {
  if (!listed) return 'is missing'
  if (listed.bytes !== line.bytes) return `has ${listed.bytes} bytes instead of ${line.bytes}`
  return listed.etag === line.etag ? undefined : 'was replaced by something else of that size'
}

async function lookInto(
  lines: LedgerLine[],
  stored: StoredFootage,
  signal: AbortSignal,
): Promise<Map<string, Listed>> {
  const found = new Map<string, Listed>()
  const [first] = lines
  if (!first) return found
  const store = stored.storeOf(first)
  try {
    const folder = dirname(first.key)
    return await store.list(folder === '.' ? '' : `${folder}/`, signal)
  } catch (error) {
    // Lesser stores call it a wrong signature.
    const isDenied = error instanceof StoreError && /^(denied|wrong-credentials)$/.test(error.kind)
    if (!isDenied) throw error
  }
  for (let at = 0; at < lines.length; at += headsAtOnce)
    await Promise.all(
      lines.slice(at, at + headsAtOnce).map(async ({ key }) => {
        const object = await store.head(key, signal)
        if (object) found.set(key, { bytes: object.bytes, etag: object.etag })
      }),
    )
  return found
}
