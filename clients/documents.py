"""The text of every GraphQL operation the worker and the client use.

Refusals are read through the `UserError` interface, so that errors added later need no change here.
The shapes of the answers are in `shapes.py`.
"""

_REFUSAL = "... on UserError { code message path }"
_MUTATION_REFUSAL = f"{_REFUSAL} ... on TryAgain {{ retryAfterSeconds }}"

_JOB = """
fragment JobView on Job {
  id kind state queuePosition estimatedWaitSeconds charged
  quote { total items { label amount } }
  ... on ImageJob { generations { id state seed model workerName imageUrl sha256 etag } }
  ... on TextJob { generations { id state seed model workerName text tokens } }
  ... on InterrogationJob { generations { id state form workerName reused result { ...FormView } } }
}
fragment FormView on FormResult {
  __typename
  ... on CaptionResult { text }
  ... on DescribeResult { text }
  ... on NsfwResult { nsfw }
  ... on InterrogationResult { keywords { keyword confidence } }
  ... on AestheticResult { score }
  ... on PaletteResult { colours { hex share } }
  ... on VectorizeResult { svg }
  ... on PostProcessedResult { imageUrl etag }
}
"""

_ASSIGNMENT = """
  ... on Assignment { leaseId jobId kind expiresAt }
  ... on ImageAssignment {
    model payload generations { id seed uploadUrl } sourceProcessing sourceImageUrl sourceMaskUrl
  }
  ... on TextAssignment { model payload generations { id seed } }
  ... on InterrogationAssignment { forms { id form uploadUrl } sourceImageUrl }
"""
_MESSAGES = "messages { id message }"

LIVE_ASSIGNMENTS = f"""
query LiveAssignments($workerName: String) {{
  liveAssignments(workerName: $workerName) {{ {_ASSIGNMENT} }}
}}
"""

POP_JOB = f"""
mutation PopJob($input: PopJobInput!) {{
  popJob(input: $input) {{
    __typename
    {_ASSIGNMENT}
    ... on Assignment {{ {_MESSAGES} }}
    ... on NoJob {{ {_MESSAGES} }}
    ... on WorkerInMaintenance {{ maintenanceMessage maintenanceUntil }}
    {_MUTATION_REFUSAL}
  }}
}}
"""

SUBMIT_RESULT = f"""
mutation SubmitResult($input: SubmitResultInput!) {{
  submitResult(input: $input) {{
    __typename
    ... on SubmitResultSuccess {{ reward results {{ generationId state reward }} position }}
    {_MUTATION_REFUSAL}
  }}
}}
"""

EXTEND_LEASE = f"""
mutation ExtendLease($input: ExtendLeaseInput!) {{
  extendLease(input: $input) {{
    __typename
    ... on ExtendLeaseSuccess {{ expiresAt uploadUrls {{ id seed uploadUrl }} }}
    {_MUTATION_REFUSAL}
  }}
}}
"""

RELEASE_LEASE = f"""
mutation ReleaseLease($input: ReleaseLeaseInput!) {{
  releaseLease(input: $input) {{
    __typename
    ... on ReleaseLeaseSuccess {{ position }}
    {_MUTATION_REFUSAL}
  }}
}}
"""

CREATE_UPLOAD = f"""
mutation CreateUpload($input: CreateUploadInput!) {{
  createUpload(input: $input) {{
    __typename
    ... on CreateUploadSuccess {{ upload {{ id url }} }}
    {_MUTATION_REFUSAL}
  }}
}}
"""

QUOTE_IMAGE_JOB = f"""
query QuoteImageJob($input: SubmitImageJobInput!) {{
  quoteImageJob(input: $input) {{
    __typename
    ... on QuoteSuccess {{ quote {{ total items {{ label amount }} }} warnings {{ code message }} }}
    {_REFUSAL}
  }}
}}
"""

QUOTE_TEXT_JOB = f"""
query QuoteTextJob($input: SubmitTextJobInput!) {{
  quoteTextJob(input: $input) {{
    __typename
    ... on QuoteTextSuccess {{ quote {{ total items {{ label amount }} }} warnings {{ code message }} }}
    {_REFUSAL}
  }}
}}
"""

QUOTE_INTERROGATION_JOB = f"""
query QuoteInterrogationJob($input: SubmitInterrogationJobInput!) {{
  quoteInterrogationJob(input: $input) {{
    __typename
    ... on QuoteSuccess {{ quote {{ total items {{ label amount }} }} warnings {{ code message }} }}
    {_REFUSAL}
  }}
}}
"""

SUBMIT_IMAGE_JOB = f"""
mutation SubmitImageJob($input: SubmitImageJobInput!) {{
  submitImageJob(input: $input) {{
    __typename
    ... on SubmitImageJobSuccess {{ job {{ ...JobView }} accessKey warnings {{ code message }} }}
    {_MUTATION_REFUSAL}
  }}
}}
{_JOB}
"""

SUBMIT_TEXT_JOB = f"""
mutation SubmitTextJob($input: SubmitTextJobInput!) {{
  submitTextJob(input: $input) {{
    __typename
    ... on SubmitTextJobSuccess {{ job {{ ...JobView }} accessKey warnings {{ code message }} }}
    {_MUTATION_REFUSAL}
  }}
}}
{_JOB}
"""

SUBMIT_INTERROGATION_JOB = f"""
mutation SubmitInterrogationJob($input: SubmitInterrogationJobInput!) {{
  submitInterrogationJob(input: $input) {{
    __typename
    ... on SubmitInterrogationJobSuccess {{ job {{ ...JobView }} accessKey warnings {{ code message }} }}
    {_MUTATION_REFUSAL}
  }}
}}
{_JOB}
"""

CANCEL_JOB = f"""
mutation CancelJob($input: CancelJobInput!) {{
  cancelJob(input: $input) {{
    __typename
    ... on CancelJobSuccess {{ job {{ ...JobView }} }}
    {_MUTATION_REFUSAL}
  }}
}}
{_JOB}
"""

JOB = f"""
query Job($id: ID!, $accessKey: String) {{ job(id: $id, accessKey: $accessKey) {{ ...JobView }} }}
{_JOB}
"""

JOB_UPDATED = f"""
subscription JobUpdated($id: ID!, $accessKey: String) {{
  jobUpdated(id: $id, accessKey: $accessKey) {{ ...JobView }}
}}
{_JOB}
"""

_TO_RATE = "{ id url }"

REQUEST_IMAGE_TO_RATE = f"""
mutation RequestImageToRate($input: RequestImageToRateInput!) {{
  requestImageToRate(input: $input) {{
    __typename
    ... on RequestImageToRateSuccess {{
      assignments {{
        id task expiresAt picture {_TO_RATE} other {_TO_RATE}
        criteria {{ question lowest highest artifacts {{ artifacts description }} }}
      }}
    }}
    ... on NoImageToRate {{ reason }}
    {_MUTATION_REFUSAL}
  }}
}}
"""

RATE_IMAGE = f"""
mutation RateImage($input: RateImageInput!) {{
  rateImage(input: $input) {{
    __typename
    ... on RateImageSuccess {{ ratingId reward {{ amount escrowed unpaid }} }}
    {_MUTATION_REFUSAL}
  }}
}}
"""

SKIP_IMAGE = f"""
mutation SkipImage($input: SkipImageInput!) {{
  skipImage(input: $input) {{
    __typename
    ... on SkipImageSuccess {{ assignmentId }}
    {_MUTATION_REFUSAL}
  }}
}}
"""
