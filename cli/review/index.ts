export { type Classified, type Risk, type RiskKind, classify } from "./classify.ts";
export { collectReview } from "./collect.ts";
export type { PolicyResult, PropertyChange, ReviewDiagnostic, ReviewInput, ReviewOp, ReviewStep } from "./model.ts";
export { maxReviewLength, renderReview, reviewPasses } from "./render.ts";
