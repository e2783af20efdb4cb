import { localFeedback } from "../../reproduce/experiments/local-feedback.ts";
import { shortForms } from "./short-forms.ts";

shortForms(localFeedback);
