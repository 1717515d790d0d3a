import { describeError } from '../daemon/logger.ts'
import { StoreError } from '../uploader/object-store.ts'

/** What has failed, for the operator; of a store with what to look at. */
export function failureText(error: unknown): string {
  return error instanceof StoreError ? `${error.message} (${error.hint})` : describeError(error)
}
