import { hierarchical } from "../../reproduce/experiments/hierarchical.ts";
import { shortForms } from "./short-forms.ts";

shortForms(hierarchical);
