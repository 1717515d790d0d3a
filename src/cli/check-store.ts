import { StoreError } from '../uploader/object-store.ts'
import type { S3ObjectStore, S3Settings } from '../uploader/s3-object-store.ts'
import { failureText } from './failure-text.ts'
import type { Finding } from './finding.ts'

/** Whether a bucket takes what it is given, as asked, and gives it back: one small object is left there. */
export async function checkBucket(
  store: S3ObjectStore,
  { key, settings }: { key: string; settings: S3Settings },
  signal: AbortSignal,
): Promise<Finding> {
  const subject = 'S3'
  const place = settings.endpoint ?? `AWS ${settings.region}`
  try {
    const { encryption } = await store.tryOut(key, signal)
    // The uploader looks there before it writes, and without s3:ListBucket is told nothing.
    if (!store.refusesOverwrite) await store.head(`${key}.none`, signal)
    const works = `${settings.bucket} (${place}) takes an object and gives it back`
    const asked = settings.encryption
    if (asked === 'none' || encryption === asked) {
      const how = encryption === undefined ? 'not encrypted' : `encrypted with ${encryption}`
      return { is: 'ok', subject, text: `${works}, ${how}` }
    }
    const text = `${works}, but says ${encryption ? `${encryption} instead of` : 'nothing of'} S3_SERVER_SIDE_ENCRYPTION=${asked}`
    return { is: 'warning', subject, text }
  } catch (error) {
    if (!(error instanceof StoreError)) throw error
    return { is: 'fault', subject, text: failureText(error) }
  }
}
