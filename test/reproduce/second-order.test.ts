import { secondOrder } from "../../reproduce/experiments/second-order.ts";
import { shortForms } from "./short-forms.ts";

shortForms(secondOrder);
